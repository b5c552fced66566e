"""Write the page and what lies beside it."""

from __future__ import annotations

from pathlib import Path

from sciup.errors import OptionError, OutputError
from sciup.io import open_image
from sciup.report import places, plots
from sciup.report.cutout import choose, cut
from sciup.report.drawing import png
from sciup.report.page import Content, render
from sciup.report.survey import survey
from sciup.results.again import Opener, find_calibration, find_facts, find_input, result_of
from sciup.results.finished import Finished
from sciup.results.plate import Plate
from sciup.results.sky import Sky

PAGE = "_report.html"
SUFFIXES = (".fits", ".fit", ".fts", ".ome.zarr", ".zarr", ".ome.tif", ".ome.tiff")


def default_page(result: Path) -> Path:
    """Where the page goes unless told: beside the result; of a field, beside its plate.

    Examples
    --------
    >>> default_page(Path("a/out.ome.zarr")).name
    'out_report.html'
    """
    plate = Plate.around(result)
    if plate is not None:
        inside = result.absolute().relative_to(plate.path)
        page = default_page(plate.path)
        return page.with_name("_".join((page.stem.removesuffix("_report"), *inside.parts)) + PAGE)
    name = result.name
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), "")
    return result.with_name(f"{name[: len(name) - len(suffix)]}{PAGE}")


def write_report(
    result: str | Path,
    page: str | Path | None = None,
    *,
    roi: str | None = None,
    model: str | None = None,
    source: str | None = None,
    opener: Opener = open_image,
) -> tuple[Path, ...]:
    """Write one page about a finished result, and a picture and lists beside it.

    Parameters
    ----------
    result : path
        FITS file or OME-Zarr folder that `sciup upscale` has written.
    page : path, optional
        ``.html`` file; beside the result unless given.
    roi : str, optional
        What is shown enlarged: ``Y0:Y1,X0:X1`` in input px, ``RA DEC SIZE``, or a region file of
        DS9. The middle unless given.
    model : str, optional
        Model folder, where the recorded name is not enough.
    source : str, optional
        Where the input is now.
    opener : callable
        Opens the input as the run did.

    Returns
    -------
    tuple of Path
        The page, the picture, the table and the regions for DS9.

    Raises
    ------
    InputError
        If it is not a finished result.
    OptionError
        If the region is not inside the result, or the page's name does not end in ``.html``.
    OutputError
        If the page cannot be written.
    """
    done = Finished.open(result)
    paths = _paths(done.path, page)
    region = choose(done, roi)
    facts = find_facts(done, model)
    again = result_of(done, facts, find_input(done, opener, source))
    found = survey(done)
    sky = Sky.of(done)
    content = Content(
        done,
        found,
        cut(done, region, again),
        find_calibration(done, facts),
        places.rows(done, found.places, sky),
        tuple(p.name for p in paths[1:]),
    )
    try:
        figure = plots.summary(done, content.cutout, content.verdict.headline)
        paths[1].write_bytes(png(figure))
        places.write_csv(paths[2], content.rows)
        places.write_regions(paths[3], done, found.places, sky)
        paths[0].write_text(render(content), encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{paths[0]} cannot be written: {error.strerror}", fix="choose another --out"
        ) from None
    return paths


def _paths(result: Path, page: str | Path | None) -> tuple[Path, ...]:
    """Page, picture, table and regions; refused before any work."""
    path = default_page(result) if page is None else Path(page).expanduser()
    if path.suffix.lower() not in (".html", ".htm"):
        raise OptionError(f"--out {path}", "a name that ends in .html")
    if not path.absolute().parent.is_dir():
        raise OutputError(
            f"there is no folder {path.parent}", fix=f"create it: mkdir -p {path.parent}"
        )
    stem = path.with_suffix("").name
    names = (f"{stem}.png", f"{stem}_regions.csv", f"{stem}_regions.reg")
    return (path, *(path.with_name(name) for name in names))
