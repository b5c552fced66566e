"""Options that several commands share, in groups; `grouped` lets a command take whole groups."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from dataclasses import replace as change
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from sciup.errors import OptionError

Opt = typer.Option

Input = Annotated[
    str,
    typer.Argument(
        help="FITS or TIFF file, picture (PNG, JPEG, JPEG 2000), OME-Zarr folder or zip file of it;"
        " FITS and OME-Zarr also by address (https://, s3://)",
        metavar="INPUT",
    ),
]
Made = Annotated[
    Path,
    typer.Argument(
        help="result that upscale or convert wrote: FITS, OME-Zarr or OME-TIFF", metavar="OUT"
    ),
]
ROI = "Y0:Y1,X0:X1 in input px, on the sky 'RA DEC SIZE', or a DS9 region FILE.reg"
"""What every --roi takes."""

Roi = Annotated[str | None, Opt("--roi", help=ROI)]
Stated = list[str] | None
"""Values as they are typed: ``VALUE`` for all channels, ``NAME=VALUE`` for one."""

PsfError = Annotated[
    Stated,
    Opt(
        metavar="[NAME=]SHARE",
        help="standard deviation of the PSF's width, such as 10%; default: known",
    ),
]
Json = Annotated[bool, Opt("--json", help="machine-readable, on standard output")]


@dataclass
class Source:
    """What of the input is read, and how."""

    hdu: Annotated[str | None, Opt(help="FITS extension: number, NAME or NAME,VER")] = None
    channel: Annotated[str | None, Opt(help="keep one channel: index or name")] = None
    time: Annotated[int | None, Opt(help="keep one time: index")] = None
    z: Annotated[int | None, Opt("--z", help="keep one z: index")] = None
    err: Annotated[str | None, Opt(help="noise map: FILE[HDU], or ivar:FILE, var:FILE")] = None
    weight: Annotated[str | None, Opt(help="weight map: FILE[HDU]")] = None
    dq: Annotated[str | None, Opt(help="data quality: FILE[HDU]")] = None
    dq_bad: Annotated[int | None, Opt(help="bits of --dq that mean bad; default: all")] = None
    pixel_size: Annotated[
        float | None, Opt(help="micrometer (arcsec for the sky), if the file has none")
    ] = None
    scratch: Annotated[Path | None, Opt(help="folder to unpack .gz and the like")] = None

    @property
    def files(self) -> tuple[str | None, ...]:
        """Files that are read beside the input."""
        given = (self.err, self.weight, self.dq)
        return tuple(text and text.removeprefix("ivar:").removeprefix("var:") for text in given)

    def open(self, path: str) -> Any:
        """Open the input; a pixel size given by hand wins and is told."""
        from sciup.io import open_image

        options = asdict(self)
        size = options.pop("pixel_size")
        for name in ("hdu", "channel"):
            text = options[name]
            if text is not None:  # files of jobs have numbers, too
                options[name] = int(text) if str(text).lstrip("-").isdigit() else str(text)
        image = open_image(Path(path), **options)
        if size is not None:
            if not size > 0:
                raise OptionError(f"--pixel-size {size}", "a number above 0")
            unit = "arcsec" if image.domain == "night-sky" else "micrometer"
            image.grid = change(image.grid, size=(size, size), unit=unit)
        return image


@dataclass
class Again:
    """Where what made a finished result is now."""

    model: Annotated[str | None, Opt(help="model folder, if not one of sciup's; or A,B")] = None
    source: Annotated[
        str | None, Opt("--input", help="where the input is now, if it was moved")
    ] = None


@dataclass
class Measuring:
    """What is measured, and where; see `sciup.measure`."""

    with_: Annotated[
        str,
        Opt(
            "--with",
            help="photometry, centroid, size, length, count, intensity, or FILE.py:FUNCTION",
        ),
    ]
    regions: Annotated[
        str | None, Opt(help="regions of DS9, or shapes that napari saved as CSV")
    ] = None
    catalog: Annotated[
        str | None, Opt(help="CSV, ECSV or FITS with ra, dec or y, x [id, radius]")
    ] = None
    labels: Annotated[str | None, Opt(help="label image on the grid of input or result")] = None
    radius: Annotated[str | None, Opt(help="of catalogue and points: input px, or 0.5arcsec")] = (
        None
    )
    samples: Annotated[int | None, Opt(help="draws to measure; default 64")] = None
    plane: Annotated[str | None, Opt(help="indices before y and x, such as 0,2; or all")] = None
    level: Annotated[
        str | None, Opt(help="above which light counts: known or ring; default: known for the sky")
    ] = None

    @property
    def files(self) -> tuple[str | None, ...]:
        """Files that say where; `regions` may be their text."""
        return self.regions, self.catalog, self.labels

    def options(self) -> dict[str, Any]:
        """Arguments for `sciup.measure`, `with_` among them."""
        options = asdict(self)
        options["background"] = options.pop("level")
        return options


READ: dict[str, Callable[[Any], Any]] = {
    "model": str,
    "psf_fwhm": float,
    "psf": str,
    "gain": float,
    "read_noise": float,
    "background": float,
    "noise_sigma": float,
}
"""Options of `Physics` that may differ by channel, and what their values are."""


@dataclass
class Physics:
    """Which model, and what is known about the instrument, by channel where there are several."""

    model: Annotated[
        Stated,
        Opt(
            metavar="[NAME=]MODEL",
            help="model name or folder; default by domain; of one channel with NAME=",
        ),
    ] = None
    scale: Annotated[int | None, Opt(help="1, 2, 4 or 8; default: the model's")] = None
    psf_fwhm: Annotated[
        Stated,
        Opt(
            metavar="[NAME=]PX",
            help="total PSF, FWHM in input px; with NAME= of that channel; may be repeated",
        ),
    ] = None
    psf: Annotated[
        Stated,
        Opt(
            metavar="[NAME=]FILE",
            help="PSF image, beads, or file by STPSF or PSFEx: FILE, FILE[HDU], FILE[Z]",
        ),
    ] = None
    gain: Annotated[Stated, Opt(metavar="[NAME=]E", help="electrons per unit of the image")] = None
    read_noise: Annotated[Stated, Opt(metavar="[NAME=]E", help="electrons")] = None
    background: Annotated[
        Stated, Opt(metavar="[NAME=]LEVEL", help="dark or sky level, input units")
    ] = None
    noise_sigma: Annotated[
        Stated, Opt(metavar="[NAME=]SIGMA", help="background noise, input units")
    ] = None
    device: Annotated[str, Opt(help="auto, cpu or cuda")] = "auto"

    def options(self) -> dict[str, Any]:
        """Arguments for `sciup.upscale`."""
        from sciup.io._channels import parse

        told = {
            name: parse("--" + name.replace("_", "-"), getattr(self, name), read)
            for name, read in READ.items()
        }
        return asdict(self) | told

    @property
    def files(self) -> tuple[str, ...]:
        """Files that are read beside the input."""
        psf = self.options()["psf"]
        return tuple(psf.values()) if isinstance(psf, dict) else (psf,) if psf else ()


@dataclass
class Drawing:
    """What is drawn, and how."""

    samples: Annotated[int, Opt(help="voting samples; one more is delivered")] = 16
    seed: Annotated[int, Opt(help="seed of the noise")] = 0
    keep_samples: Annotated[int, Opt(help="samples to store as well")] = 0
    maps: Annotated[str | None, Opt(help="comma-separated; default: the usual ones")] = None
    tolerance: Annotated[str, Opt(help="3sigma (of the input noise) or 5%")] = "3sigma"
    roi: Roi = None
    tile: Annotated[int, Opt(help="input px per side read at a time; memory only")] = 512
    threads: Annotated[int | None, Opt(help="windows at a time; default: all CPUs")] = None
    precision: Annotated[str, Opt(help="auto, fp32 or bf16")] = "auto"
    noise_free: Annotated[bool, Opt("--noise-free", help="treat the input as exact")] = False
    psf_error: PsfError = None
    texture: Annotated[
        bool, Opt("--texture", help="add the map texture: one plausible image, illustrative only")
    ] = False
    texture_model: Annotated[
        str | None, Opt(help="texture by this model (name or folder); default: the sampler's own")
    ] = None
    strict: Annotated[
        bool, Opt("--strict", help="fail where a part of the input cannot be read, do not mask it")
    ] = False

    def options(self) -> dict[str, Any]:
        """Arguments for `sciup.upscale`."""
        options = asdict(self) | {"psf_error": read_psf_error(self.psf_error)}
        named = options.pop("texture_model")
        options["texture"] = named or self.texture
        if self.maps is not None:
            options["maps"] = [m.strip() for m in self.maps.split(",") if m.strip()]
        return options


@dataclass
class Machines:
    """Who computes; without any of these, this process."""

    workers: Annotated[int | None, Opt(help="processes to start on this machine")] = None
    scheduler: Annotated[str | None, Opt(help="running Dask scheduler: tcp://HOST:PORT")] = None
    cluster: Annotated[
        Path | None, Opt(help="YAML file of a batch system (Slurm, PBS, LSF, HTCondor)")
    ] = None

    def client(self, device: str) -> Any:
        """A context with a Dask client, or with None."""
        from sciup.engine.connect import connect

        return connect(self.workers, self.scheduler, self.cluster, device=device)


def read_psf_error(told: Any) -> Any:
    """An argument for `sciup.upscale`, as typed or from a file of jobs."""
    from sciup.io._channels import parse
    from sciup.physics.psf_error import parse_error

    return parse("--psf-error", told, parse_error)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Show typer the fields of a command's groups as options, and hand the groups to the command.

    Examples
    --------
    >>> @grouped
    ... def show(name: str, drawing: Drawing) -> None:
    ...     print(name, drawing.samples)
    >>> show(name="a", **asdict(Drawing(samples=3)))
    a 3
    """
    plain = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: p.annotation for name, p in plain.items() if is_dataclass(p.annotation)
    }
    options = {name: _parameters(kind) for name, kind in groups.items()}

    @wraps(command)
    def call(**values: Any) -> None:
        made = {
            name: kind(**{p: values.pop(p) for p in options[name]}) for name, kind in groups.items()
        }
        command(**values, **made)

    shown = [
        p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, one in plain.items()
        for p in options.get(name, {name: one}).values()
    ]
    call.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return call


def _parameters(kind: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(kind, eval_str=True).parameters)


__all__ = [
    "ROI",
    "Again",
    "Drawing",
    "Input",
    "Json",
    "Machines",
    "Made",
    "Measuring",
    "Physics",
    "PsfError",
    "Roi",
    "Source",
    "grouped",
    "read_psf_error",
]
