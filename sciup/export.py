"""A model as a package for the tools of bioimage.io.

Those tools run a network on arrays. What makes a draw of sciup agree with the measurement, the
projection and the noise field, is not part of the network and is lost; the package says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sciup.catalogue import first_paragraph, read_card
from sciup.errors import ModelError, OutputError
from sciup.generators import posterior, progressive
from sciup.generators.facts import CHECKSUM, ModelFacts
from sciup.generators.posterior import PosteriorSampler
from sciup.generators.registry import load_generator
from sciup.generators.spec import PLANES
from sciup.resources import RECIPE, WEIGHTS
from sciup.risk.calibration import FILE as CALIBRATION

ATTACHED = (RECIPE, WEIGHTS, CHECKSUM, CALIBRATION, "card.md")
"""What makes the package a model of sciup, too."""

LEAST = 16
"""Smallest side, in input pixels, of what a draw of the package covers."""

ABOUT = """
## In this package

`network.pt` is the network alone, as TorchScript: `planes` (images, float32, with {margin} more
pixels on each side than the output covers) and `noise` (independent standard normal numbers, with
{head_margin} more pixels on each side) give one draw in units of the stretch. Another noise gives
another draw.

- `planes`, in this order: {planes}. `image` is the stretched image, `footprint` is 1 where there is
  data, `log_noise` is a third of the logarithm of the noise of the stretched image; the others are
  constants: a third of the FWHM of the PSF beyond the declared output PSF [input px], its
  ellipticities, the correlation of the noise of neighbouring pixels.
- **Lost**: the estimate of the instrument, the stretch and its inverse, the projection that makes
  a draw agree with the measurement, the noise field that makes tiles agree with each other, the
  maps of spread and risk. Do not measure on what this network gives alone.
- The folder is also a model of sciup, with nothing lost: `sciup upscale IN OUT --model FOLDER`.

## Validation

Run `network.pt` on `planes.npy` and `noise.npy` and compare with `draw.npy`. For images, run
`sciup evaluate` on fields whose truth is known: it tells errors, calibration and flux.
"""


class _Draw(nn.Module):
    """A whole network as one function of arrays."""

    def __init__(self, net: PosteriorSampler) -> None:
        super().__init__()
        self.net = net

    def forward(self, planes: Tensor, noise: Tensor) -> Tensor:
        return self.net.draw(self.net.encode(planes), noise)


def export_model(folder: Path, out: Path, authors: Sequence[str], licence: str) -> Path:
    """Write a model folder as a bioimage.io package (model description 0.5).

    Parameters
    ----------
    folder : Path
        Folder of the model, with a card.
    out : Path
        ``.zip`` file, or a folder; must not exist.
    authors : sequence of str
    licence : str
        SPDX identifier.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ModelError
        If ``bioimageio.spec`` is not installed, or the model is damaged or has no card.
    OutputError
        If `out` exists, or its folder does not.
    """
    try:
        from bioimageio.spec import save_bioimageio_package, save_bioimageio_package_as_folder
        from bioimageio.spec.common import ValidationError
    except ImportError:
        raise ModelError(
            "the package bioimageio.spec is not installed", fix='pip install "sciup[bioimageio]"'
        ) from None
    if out.exists():
        raise OutputError(f"the output {out} exists already", fix="choose another name")
    if not out.absolute().parent.is_dir():
        raise OutputError(f"there is no folder {out.absolute().parent}", fix="create it first")
    with TemporaryDirectory() as name:
        parts = _write_parts(folder, Path(name))
        try:
            described = describe(folder, parts, authors, licence)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ModelError(f"the package would not be valid: {where}: {first['msg']}") from None
        save = (
            save_bioimageio_package if out.suffix == ".zip" else save_bioimageio_package_as_folder
        )
        save(described, output_path=out)
    return out


def _write_parts(folder: Path, parts: Path) -> Path:
    """All files of a package but its description."""
    card = read_card(folder)
    net = load_generator(folder)
    spec = net.spec
    text = ABOUT.format(
        margin=spec.margin, head_margin=net.head_margin, planes=", ".join(f"`{p}`" for p in PLANES)
    )
    (parts / "README.md").write_text(card.rstrip() + "\n" + text)
    for name in ATTACHED:
        if (folder / name).is_file():
            (parts / name).write_bytes((folder / name).read_bytes())
    # not fused: what is arranged for speed here uses calls that other programs do not have
    draw = _Draw(net.eval().requires_grad_(False))
    side = LEAST + 16
    rng = np.random.default_rng(0)
    window, inner = side + 2 * spec.margin, side + 2 * net.head_margin
    planes = rng.normal(0.3, 0.1, (1, len(PLANES), window, window)).astype(np.float32)
    planes[:, 1] = 1
    planes[:, 2:] = np.array([-0.6, 0.5, 0, 0, 0], np.float32)[:, None, None]
    noise = rng.normal(0, 1, (1, spec.fine_noise + 1, inner, inner)).astype(np.float32)
    with torch.no_grad(), _plain_crops(), warnings.catch_warnings():
        # deprecated, and the only format that runs without sciup in the tools that exist
        warnings.simplefilter("ignore", DeprecationWarning)
        example = (torch.from_numpy(planes), torch.from_numpy(noise))
        traced: Any = torch.jit.trace(draw, example)
        traced.save(parts / "network.pt")
        np.save(parts / "draw.npy", draw(*example).numpy())
    np.save(parts / "planes.npy", planes)
    np.save(parts / "noise.npy", noise)
    return parts


@contextmanager
def _plain_crops() -> Iterator[None]:
    """Crops without a gradient of their own, which cannot be written down."""

    def crop(x: Tensor, margin: int) -> Tensor:
        return x[..., margin:-margin, margin:-margin] if margin else x

    before = posterior.crop
    for module in (posterior, progressive):
        module.crop = crop  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in (posterior, progressive):
            module.crop = before  # type: ignore[attr-defined]


def describe(folder: Path, parts: Path, authors: Sequence[str], licence: Any) -> Any:
    """The ``rdf.yaml`` of a package whose other files are in `parts`, as a ``ModelDescr``."""
    from bioimageio.spec.common import FileDescr
    from bioimageio.spec.model import v0_5 as m

    facts = ModelFacts.read(folder)
    files = [name for name in ATTACHED if (parts / name).is_file()]
    return m.ModelDescr(
        name=f"sciup {facts.name}",
        description=first_paragraph(folder)[:1024] or f"Draws sharp images, {facts.scale}x.",
        authors=[m.Author(name=name) for name in authors],
        license=licence,
        documentation=FileDescr(source=parts / "README.md"),
        tags=["super-resolution", "denoising", "deconvolution", "uncertainty", facts.domain, "2d"],
        attachments=[FileDescr(source=parts / name) for name in files],
        weights=m.WeightsDescr(
            torchscript=m.TorchscriptWeightsDescr(
                source=parts / "network.pt", pytorch_version=m.Version(_torch_version())
            )
        ),
        **_tensors(load_generator(folder), parts),
    )


def _torch_version() -> str:
    return torch.__version__.partition("+")[0]


def _tensors(net: PosteriorSampler, parts: Path) -> dict[str, Any]:
    """Inputs and output with their sizes: all convolutions are valid, the output is smaller."""
    from bioimageio.spec.common import FileDescr
    from bioimageio.spec.model import v0_5 as m

    spec, s = net.spec, net.spec.scale
    free = m.ParameterizedSize(min=LEAST + 2 * spec.margin, step=1)

    def axes(space: Any, names: Sequence[str], size: Any, **more: Any) -> list[Any]:
        channels = m.ChannelAxis(channel_names=[m.Identifier(n) for n in names])
        return [
            m.BatchAxis(),
            channels,
            *(space(id=m.AxisId(a), size=size(a), **more) for a in "yx"),
        ]

    def like(offset: int) -> Any:
        return lambda a: m.SizeReference(
            tensor_id=m.TensorId("planes"), axis_id=m.AxisId(a), offset=offset
        )

    kind, number = m.SpaceInputAxis, m.IntervalOrRatioDataDescr(type="float32")
    grains = [f"noise{i}" for i in range(spec.fine_noise)] + ["coarse"]
    return {
        "inputs": [
            m.InputTensorDescr(
                id=m.TensorId("planes"),
                description="stretched image, footprint, noise, PSF; see the documentation",
                axes=axes(kind, PLANES, lambda _: free),
                test_tensor=FileDescr(source=parts / "planes.npy"),
                data=number,
            ),
            m.InputTensorDescr(
                id=m.TensorId("noise"),
                description="standard normal numbers; the last channel varies over 8 px",
                axes=axes(kind, grains, like(-2 * (spec.margin - net.head_margin))),
                test_tensor=FileDescr(source=parts / "noise.npy"),
                data=number,
            ),
        ],
        "outputs": [
            m.OutputTensorDescr(
                id=m.TensorId("draw"),
                description="one draw before the projection, in units of the stretch",
                axes=axes(m.SpaceOutputAxis, ["draw"], like(-2 * spec.margin * s), scale=1 / s),
                test_tensor=FileDescr(source=parts / "draw.npy"),
                data=number,
            )
        ],
    }


__all__ = ["describe", "export_model"]
