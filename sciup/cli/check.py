"""``sciup check``: a result against an image that had no part in it."""

from __future__ import annotations

import json as codec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sciup.cli.options import ROI, Again, Json, Made, Source, grouped
from sciup.console import console

if TYPE_CHECKING:
    from sciup.science.check.run import Check

Opt = typer.Option


@grouped
def check(
    result: Made,
    opening: Source,
    again: Again,
    repeat: Annotated[
        Path | None, Opt("--repeat", help="another exposure on the grid of the input")
    ] = None,
    reference: Annotated[
        Path | None, Opt("--reference", help="a sharper image on the grid of OUT")
    ] = None,
    reference_fwhm: Annotated[
        float | None, Opt("--reference-fwhm", help="of its PSF, output px")
    ] = None,
    roi: Annotated[str | None, Opt("--roi", help=f"{ROI}; default: the middle")] = None,
    out: Annotated[Path | None, Opt("--out", help="picture to write (.png)")] = None,
    json: Json = False,
) -> None:
    """Compare the draws of OUT with an image that had no part in it.

    A repeated exposure tests what the draws predict at the input's resolution: PSF, noise,
    brightness. Only an independent sharper image tests detail. Shift and brightness are measured
    and taken out; then differences are set against what noise and spread of the draws allow.

    [bold]Examples[/bold]

      sciup check out.fits --repeat second_exposure.fits

      sciup check out.ome.zarr --reference sted.tif --reference-fwhm 2 --out check.png

      sciup check out.fits --repeat second_exposure.fits --roi "10:00:24 +2:12:00 1arcmin"
    """
    from sciup.errors import OptionError, OutputError
    from sciup.science.check.run import check as run
    from sciup.science.check.words import draw, verdict

    if out is not None and out.suffix.lower() != ".png":
        raise OptionError(f"--out {out}", "a name that ends in .png")
    if out is not None and not out.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}", fix=f"make it: mkdir -p {out.parent}")
    found = run(
        result, repeat=repeat, reference=reference, reference_fwhm=reference_fwhm, roi=roi,
        model=again.model, source=again.source, opener=opening.open,
    )  # fmt: skip
    if json:
        typer.echo(codec.dumps(found.as_json(), indent=2))
    else:
        _tell(found, verdict(found))
    if out is not None:
        draw(found, out)
        console.print(f"[green]picture[/green]  {escape(str(out))}")


def _tell(found: Check, words: list[str]) -> None:
    from rich.table import Table

    f = found.fit
    console.print(
        f"shift {f.shift[0]:.2f}, {f.shift[1]:.2f} px, gain {f.gain:.4f} +- {f.gain_error:.4f},"
        f" level {f.level:.4g}"
    )
    shown = Table("mean over", "blocks", "bias", "deviation", "noise alone", "in 68 %", "in 95 %")
    for row in found.rows:
        shown.add_row(
            f"{row['side']} px", str(row["blocks"]), f"{row['bias']:+.3f}",
            f"{row['deviation']:.3f}", f"{row['noise_only']:.2f}",
            f"{100 * row['cover_68']:.1f} %", f"{100 * row['cover_95']:.1f} %",
        )  # fmt: skip
    console.print(shown)
    for name, pixels in found.resolution.items():
        console.print(f"FRC 1/7 of {name}: {pixels:.2f} output px")
    for line in (*found.notes, *words):
        console.print(escape(line))
