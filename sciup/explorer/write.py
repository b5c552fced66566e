"""Answers as files: images by the writers of results, a figure, and the JSON file, last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciup.errors import OutputError
from sciup.explorer.answers import Region, Values
from sciup.geometry import shards
from sciup.io import OutputFormat, open_writer
from sciup.io._writer import SHARD, Layout
from sciup.physics.psf import gaussian

if TYPE_CHECKING:
    from sciup.explorer.exploration import Exploration

SUFFIX: dict[OutputFormat, str] = {"fits": ".fits", "ome-zarr": ".ome.zarr"}
KNOWN = {".ome.zarr": "ome-zarr", ".zarr": "ome-zarr", ".fits": "fits", ".fit": "fits"}


def stem_of(out: Path) -> tuple[Path, OutputFormat | None]:
    """What all names begin with, and the format of the images that the name asks for.

    Examples
    --------
    >>> stem_of(Path("a/found.ome.zarr"))[0].name, stem_of(Path("found.explore.json"))[0].name
    ('found', 'found')
    """
    name = out.name.removesuffix(".explore.json")
    for suffix, kind in KNOWN.items():
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return out.with_name(name[: -len(suffix)]), kind  # type: ignore[return-value]
    return out.with_name(name), None


def check_place(
    out: Path, overwrite: bool, count: int, image_format: str, source: str = ""
) -> None:
    """Refuse a place that cannot be written to, before anything is computed.

    Raises
    ------
    OutputError
        If the folder is missing, something of the name exists, or `source`, the input, is there.
    """
    stem, kind = stem_of(out)
    if not stem.name:
        raise OutputError(f"--out {out} has no name", fix="give a name such as --out found")
    parent = stem.absolute().parent
    if not parent.is_dir():
        raise OutputError(f"there is no folder {parent}", fix=f"create it: mkdir -p {parent}")
    names = _names(stem, _format(kind, image_format), count)
    for path in names:
        if _holds(path, source):
            raise OutputError(
                f"the output {path} is the input", "other names than the input's", "another --out"
            )
    if overwrite:
        return
    there = [p for p in names if p.exists()]
    if there:
        raise OutputError(f"{there[0]} exists already", fix="use --overwrite or another name")


def _holds(path: Path, source: str) -> bool:
    """Whether the input is this file or folder, or inside it."""
    real = Path(source).resolve()
    return bool(source) and real.exists() and path.resolve() in (real, *real.parents)


def _format(kind: OutputFormat | None, image_format: str) -> OutputFormat:
    return kind or ("fits" if image_format == "fits" else "ome-zarr")


def _names(stem: Path, kind: OutputFormat, count: int) -> list[Path]:
    """Every file or folder that is written, the JSON file last."""
    out = []
    for i in range(count):
        part = _part(stem.name, i, count)
        ends = (SUFFIX[kind], f"_residual{SUFFIX[kind]}", ".png")
        out += [stem.with_name(part + end) for end in ends]
    return [*out, stem.with_name(f"{stem.name}.explore.json")]


def _part(name: str, index: int, count: int) -> str:
    return name if count == 1 else f"{name}_{index + 1}"


def write(found: Exploration, out: Path, overwrite: bool) -> Path:
    """Write all files; see `sciup.explorer.run.Exploration.save`."""
    from sciup.explorer.figure import draw

    image = found.result.job.image
    stem, asked = stem_of(out.expanduser())
    kind, count = _format(asked, image.format), len(found.regions)
    check_place(out.expanduser(), overwrite, count, image.format, image.source)
    facts = found.as_json()
    with _place(stem) as work:
        for i, region in enumerate(found.regions):
            name = _part(stem.name, i, count)
            about = facts | {"regions": [facts["regions"][i]], "model": _models(found)}
            files = {"figure": f"{name}.png"}
            draw(found, region, work / files["figure"])
            if region.answers:
                files |= {
                    "images": f"{name}{SUFFIX[kind]}",
                    "residuals": f"{name}_residual{SUFFIX[kind]}",
                }
                images = {a.name: a.image for a in region.answers}
                residuals = {a.name: a.residual for a in region.answers}
                fwhm = float(facts["output_psf_fwhm_px"])
                _write(work / files["images"], found, region, kind, images, about, fwhm)
                _write(work / files["residuals"], found, region, kind, residuals, about, None)
            facts["regions"][i]["files"] = files
        last = work / f"{stem.name}.explore.json"
        last.write_text(json.dumps(facts, indent=1, default=_plain) + "\n", encoding="utf-8")
        target = stem.with_name(last.name)
        new = {path.name for path in work.iterdir()}
        for path in _written(target):
            if path.name not in new and not _holds(path, image.source):
                _remove(path)
        for path in sorted(work.iterdir(), key=lambda p: p == last):
            _move(path, stem.with_name(path.name))
    return target


def _written(last: Path) -> list[Path]:
    """Images and figures beside an older JSON file, as it names them."""
    stem = last.name.removesuffix(".explore.json")
    try:
        regions = json.loads(last.read_text(encoding="utf-8"))["regions"]
        names = [str(name) for region in regions for name in region["files"].values()]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []  # none, or not ours
    return [last.with_name(n) for n in names if n == Path(n).name and n.startswith(stem)]


def _models(found: Exploration) -> str:
    return found.cascade.stages[0].name


def _write(
    target: Path,
    found: Exploration,
    region: Region,
    kind: OutputFormat,
    maps: dict[str, Values],
    about: dict[str, Any],
    fwhm: float | None,
) -> None:
    """One file or folder: images at the output's scale, or residuals at that of the input."""
    image = found.result.job.image
    scale = found.scale if fwhm is not None else 1
    unit = image.unit if fwhm is not None else None
    layout = Layout(image, region.box, scale, tuple(maps), dict.fromkeys(maps, unit))
    work = target.with_name(target.name + ".work")
    work.mkdir()
    writer = open_writer(work, layout, kind)
    writer.create()
    plane = next(image.planes)
    for name, values in maps.items():
        for _, box in shards(layout.plane_shape, SHARD):
            writer.write(name, plane, box, values[box.slices])
    extras = {}
    if fwhm:
        extras["psf"] = gaussian(4 * round(fwhm) + 9, fwhm).astype(np.float32)
    writer.finish(json.loads(json.dumps(about, default=_plain)), extras)
    writer.path.replace(target)
    work.rmdir()


@contextmanager
def _place(stem: Path) -> Iterator[Path]:
    """A working folder beside the output, gone in the end, whatever happens."""
    work = stem.with_name(f"{stem.name}.explore.partial")
    try:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        yield work
    except OSError as error:
        raise OutputError(
            f"writing {stem} failed: {error.strerror or error}", fix="make room or check the disk"
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _move(path: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


__all__ = ["check_place", "stem_of", "write"]
