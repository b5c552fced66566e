"""The command line: thin, and never a traceback for bad input."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from sciup import cli_evaluate, cli_models, cli_train
from sciup.console import console
from sciup.errors import OptionError, SciupError

app = typer.Typer(
    name="sciup",
    help="Super-resolution that scientists can trust, for microscopy and astronomy.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Opt = typer.Option
INPUT = typer.Argument(help="FITS or TIFF file, or OME-Zarr folder", metavar="INPUT")

Hdu = Annotated[str | None, Opt("--hdu", help="FITS extension: number, NAME or NAME,VER")]
Channel = Annotated[str | None, Opt("--channel", help="keep one channel: index or name")]
Time = Annotated[int | None, Opt("--time", help="keep one time: index")]
Z = Annotated[int | None, Opt("--z", help="keep one z: index")]
Err = Annotated[str | None, Opt("--err", help="noise map: FILE[HDU]")]
Weight = Annotated[str | None, Opt("--weight", help="weight map: FILE[HDU]")]
Dq = Annotated[str | None, Opt("--dq", help="data quality: FILE[HDU]")]
DqBad = Annotated[int | None, Opt("--dq-bad", help="bits of --dq that mean bad; default: all")]
Scratch = Annotated[Path | None, Opt("--scratch", help="folder to unpack .gz and the like")]
Model = Annotated[str | None, Opt("--model", help="model name or folder; default by domain")]
Scale = Annotated[int | None, Opt("--scale", help="1, 2 or 4; default: the model's")]
PsfFwhm = Annotated[float | None, Opt("--psf-fwhm", help="total PSF, FWHM in input px")]
Psf = Annotated[Path | None, Opt("--psf", help="PSF image (FITS, TIFF) on the input grid")]
Gain = Annotated[float | None, Opt("--gain", help="electrons per unit of the image")]
ReadNoise = Annotated[float | None, Opt("--read-noise", help="electrons")]
Background = Annotated[float | None, Opt("--background", help="dark or sky level, input units")]
NoiseSigma = Annotated[float | None, Opt("--noise-sigma", help="background noise, input units")]
PixelSize = Annotated[
    float | None, Opt("--pixel-size", help="micrometer (arcsec for the sky), if the file has none")
]
Device = Annotated[str, Opt("--device", help="auto, cpu or cuda")]
Precision = Annotated[str, Opt("--precision", help="auto, fp32 or bf16")]


def _open(path: str, pixel_size: float | None = None, **options: Any) -> Any:
    """Open the input; a pixel size given by hand wins and is told."""
    from dataclasses import replace as change

    from sciup.io import open_image

    hdu = options.pop("hdu")
    channel = options.pop("channel")
    image = open_image(
        Path(path),
        hdu=int(hdu) if hdu is not None and hdu.lstrip("-").isdigit() else hdu,
        channel=int(channel) if channel is not None and channel.isdigit() else channel,
        **options,
    )
    if pixel_size is not None:
        if not pixel_size > 0:
            raise OptionError(f"--pixel-size {pixel_size}", "a number above 0")
        unit = "arcsec" if image.domain == "night-sky" else "micrometer"
        image.grid = change(image.grid, size=(pixel_size, pixel_size), unit=unit)
    return image


def _psf_image(path: Path | None) -> Any:
    """A PSF file as an array."""
    if path is None:
        return None
    from sciup.geometry import Box
    from sciup.io import open_image

    image = open_image(path)
    values, _ = image.read(next(image.planes), Box.of_shape(image.plane_shape))
    return values


@app.command()
def upscale(
    input: Annotated[str, INPUT],  # noqa: A002 - the name that --help shows
    output: Annotated[Path, typer.Argument(help=".fits file or .ome.zarr folder")],
    model: Model = None,
    scale: Scale = None,
    samples: Annotated[int, Opt("--samples", help="voting samples; one more is delivered")] = 16,
    seed: Annotated[int, Opt("--seed", help="seed of the noise")] = 0,
    keep_samples: Annotated[int, Opt("--keep-samples", help="samples to store as well")] = 0,
    maps: Annotated[
        str, Opt("--maps", help="comma-separated: sample,mean,std,risk_raw,support")
    ] = "sample,mean,std,risk_raw,support",
    tolerance: Annotated[
        str, Opt("--tolerance", help="3sigma (of the input noise) or 5%")
    ] = "3sigma",
    psf_fwhm: PsfFwhm = None,
    psf: Psf = None,
    gain: Gain = None,
    read_noise: ReadNoise = None,
    background: Background = None,
    noise_sigma: NoiseSigma = None,
    pixel_size: PixelSize = None,
    tile: Annotated[int, Opt("--tile", help="input px per side read at a time; memory only")] = 512,
    threads: Annotated[
        int | None, Opt("--threads", help="windows computed at a time; default: all CPUs")
    ] = None,
    roi: Annotated[str | None, Opt("--roi", help="Y0:Y1,X0:X1 in input px")] = None,
    hdu: Hdu = None,
    err: Err = None,
    weight: Weight = None,
    dq: Dq = None,
    dq_bad: DqBad = None,
    channel: Channel = None,
    time: Time = None,
    z: Z = None,
    device: Device = "auto",
    precision: Precision = "auto",
    noise_free: Annotated[bool, Opt("--noise-free", help="treat the input as exact")] = False,
    resume: Annotated[bool, Opt("--resume", help="start, go on, or return if complete")] = False,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an existing output")] = False,
    scratch: Scratch = None,
    dry_run: Annotated[
        bool, Opt("--dry-run", help="print plan, time, memory and disk only")
    ] = False,
) -> None:
    """Draw sharp images that agree with INPUT and write them, with uncertainty, to OUTPUT.

    [bold]Examples[/bold]

      sciup upscale field.fits out.fits

      sciup upscale plate.ome.zarr out.ome.zarr --channel 0 --psf-fwhm 2.6 --samples 32

      sciup upscale huge.fits out.fits --roi 0:4096,0:4096 --dry-run
    """
    from sciup import api, show

    image = _open(
        input,
        pixel_size,
        hdu=hdu,
        err=err,
        weight=weight,
        dq=dq,
        dq_bad=dq_bad,
        channel=channel,
        time=time,
        z=z,
        scratch=scratch,
    )
    result = api.upscale(
        image,
        model=model,
        scale=scale,
        samples=samples,
        seed=seed,
        keep_samples=keep_samples,
        maps=[m.strip() for m in maps.split(",") if m.strip()],
        tolerance=tolerance,
        psf_fwhm=psf_fwhm,
        psf=_psf_image(psf),
        gain=gain,
        read_noise=read_noise,
        background=background,
        noise_sigma=noise_sigma,
        roi=roi,
        device=device,
        precision=precision,
        noise_free=noise_free,
        tile=tile,
        threads=threads,
    )
    show.beliefs(console, result, "you" if model else "the domain of the file")
    if dry_run:
        show.plan(console, result, output)
        return
    with show.progress(console) as progress:
        path = result.save(output, resume=resume, overwrite=overwrite, progress=progress)
    console.print(f"[green]done[/green]  {escape(str(path))}")


@app.command()
def inspect(
    input: Annotated[str, INPUT],  # noqa: A002 - the name that --help shows
    model: Model = None,
    scale: Scale = None,
    psf_fwhm: PsfFwhm = None,
    psf: Psf = None,
    gain: Gain = None,
    read_noise: ReadNoise = None,
    background: Background = None,
    noise_sigma: NoiseSigma = None,
    pixel_size: PixelSize = None,
    hdu: Hdu = None,
    err: Err = None,
    weight: Weight = None,
    dq: Dq = None,
    dq_bad: DqBad = None,
    channel: Channel = None,
    time: Time = None,
    z: Z = None,
    device: Device = "auto",
    scratch: Scratch = None,
    json: Annotated[bool, Opt("--json", help="machine-readable, on standard output")] = False,
) -> None:
    """Show what INPUT is, what is believed about its instrument, and what upscaling would cost.

    [bold]Examples[/bold]

      sciup inspect field.fits

      sciup inspect plate.ome.zarr --json
    """
    from sciup import api, show

    image = _open(
        input,
        pixel_size,
        hdu=hdu,
        err=err,
        weight=weight,
        dq=dq,
        dq_bad=dq_bad,
        channel=channel,
        time=time,
        z=z,
        scratch=scratch,
    )
    result = api.upscale(
        image,
        model=model,
        scale=scale,
        psf_fwhm=psf_fwhm,
        psf=_psf_image(psf),
        gain=gain,
        read_noise=read_noise,
        background=background,
        noise_sigma=noise_sigma,
        device=device,
    )
    facts = show.facts(result)
    if json:
        import json as codec

        typer.echo(codec.dumps(facts, indent=2))
        return
    show.inspection(console, result, facts)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="folder for the results")] = Path("demo_output"),
    samples: Annotated[int, Opt("--samples", help="voting samples")] = 8,
    device: Device = "auto",
) -> None:
    """Upscale a real Hubble field and a real micrograph that were made coarse and noisy.

    The truth is known, so the figures can show it beside the result. The images ship with
    scikit-image and were never trained on.

    [bold]Example[/bold]

      sciup demo demo_output
    """
    from sciup import demo as demonstration

    demonstration.run(out, samples=samples, device=device, console=console)


for command in (cli_train.train, cli_train.pack, cli_train.simulate, cli_evaluate.evaluate):
    app.command()(command)
app.add_typer(cli_models.app)


@app.command()
def version() -> None:
    """Print the versions that decide a result.

    [bold]Example[/bold]

      sciup version
    """
    from importlib.metadata import version as of

    for name in ("sciup", "torch", "numpy", "astropy", "zarr", "tifffile", "dask"):
        typer.echo(f"{name} {of(name)}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit with 0, 2 (refused) or 75 (interrupted and resumable)."""
    from rich.logging import RichHandler

    handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("sciup").setLevel(logging.INFO)
    try:
        app(args=arguments, standalone_mode=True)
    except SciupError as error:
        console.print(f"[bold red]{type(error).__name__}[/bold red]: {escape(str(error))}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.print("stopped")
        sys.exit(75)


if __name__ == "__main__":
    main()
