"""``sciup compare``: several methods side by side on the same pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from sciup.cli.options import Physics, PsfError, Source, grouped, read_psf_error
from sciup.console import console

Opt = typer.Option

SHOWN = ("image", "method", "kind", "chi2", "flux", "psnr")
"""Columns that are printed."""


@grouped
def compare(
    inputs: Annotated[
        list[str], typer.Argument(help="FITS or TIFF files, OME-Zarr folders", metavar="INPUT...")
    ],
    source: Source,
    physics: Physics,
    out: Annotated[Path, Opt("--out", help="folder for pictures and tables")] = Path("comparison"),
    methods: Annotated[
        str | None,
        Opt(
            "--methods",
            help="comma-separated, also models, A+B one after the other, explore:GOAL;"
            " default: the usual seven",
        ),
    ] = None,
    truth: Annotated[
        list[Path] | None, Opt("--truth", help="true image on the output grid; one for each INPUT")
    ] = None,
    roi: Annotated[
        str | None,
        Opt(
            "--roi",
            help="Y0:Y1,X0:X1 in input px, on the sky 'RA DEC SIZE', or a DS9 region FILE.reg;"
            " default: the middle 128 px",
        ),
    ] = None,
    psf_error: PsfError = None,
    samples: Annotated[int, Opt("--samples", help="draws behind the mean, less one")] = 16,
    seed: Annotated[int, Opt("--seed", help="seed of the noise")] = 0,
    overwrite: Annotated[bool, Opt("--overwrite", help="write into an existing folder")] = False,
) -> None:
    """Upscale INPUT with every method and put the results side by side, with numbers.

    Bicubic and Lanczos interpolation, Richardson-Lucy, Wiener and total variation with the settings
    that were best on training micrographs, and the mean and one sample of the model. --methods also
    takes other models of the same scale by name or folder (a texture model gives an illustration),
    models one after the other (fluorescence-x4+fluorescence-x2), and what the explorer finds in a
    region of up to 128 px: explore:brightest, explore:faintest, explore:farthest. OUT is a study
    for the blind rating: folders of methods with images of the same names.

    [bold]Examples[/bold]

      sciup compare cells.tif --out comparison

      sciup compare field.fits --roi 0:200,0:200 --methods bicubic,Richardson-Lucy,mean

      sciup compare cells.tif --roi 0:64,0:64 --methods mean,fluorescence-x4-fast,explore:farthest

      sciup compare cells.tif --scale 8 --methods TV,mean,fluorescence-x4+fluorescence-x2

      sciup compare field.fits --roi cluster.reg --psf-error 10%

      sciup compare small_1.tif small_2.tif --truth sharp_1.tif --truth sharp_2.tif
    """
    from sciup.compare.run import compare as run
    from sciup.science.measure.roi import region_of

    images = [(name_of(path), source.open(path)) for path in inputs]
    chosen = [part.strip() for part in methods.split(",")] if methods is not None else None
    table = run(
        images,
        out,
        methods=chosen,
        truths=truth or [],
        roi=[region_of(roi, image) for _, image in images],
        overwrite=overwrite,
        progress=lambda image, what: console.print(f"{escape(image)}: {what}"),
        samples=samples,
        seed=seed,
        psf_error=read_psf_error(psf_error),
        **physics.options(),
    )
    _show(table)
    console.print(f"[green]done[/green]  {escape(str(out))} (comparison.md has all numbers)")


def _show(table: Any) -> None:
    """What matters most of the table, narrow enough for a console; all of it is in the files."""
    from rich.table import Table

    from sciup.evaluate.tables import cell

    keys = [key for key in SHOWN if key in table.keys]
    if len({row["image"] for row in table.rows}) == 1:
        keys.remove("image")
    shown = Table(title=table.title, title_justify="left", box=None)
    for key in keys:
        left = key in ("image", "method", "kind")
        shown.add_column(key, justify="left" if left else "right", overflow="fold")
    for row in table.rows:
        shown.add_row(*(escape(cell(row.get(key, ""))) for key in keys))
    console.print(shown)


def name_of(path: str) -> str:
    """Name of an image without folder and suffix.

    Examples
    --------
    >>> name_of("a/cells.ome.zarr"), name_of("field.fits.gz"), name_of("x.1.tif")
    ('cells', 'field', 'x.1')
    """
    name = Path(path).name
    for suffix in (".gz", ".fz", ".zarr", ".fits", ".fit", ".tif", ".tiff", ".ome"):
        name = name.removesuffix(suffix)
    return name or "image"
