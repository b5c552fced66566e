"""A model folder with a tiny untrained network: everything runs as with a real one, only faster."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import yaml

from sciup.generators.posterior import Upsample
from sciup.generators.progressive import MeanSteps
from sciup.generators.registry import ARCHITECTURES, ModelFacts, load_generator
from sciup.generators.texture import TextureHead
from sciup.image import Domain

SPREAD = 3.0
"""Factor on the last convolution of the draw head: untrained draws would hardly differ."""


def write_toy_model(
    folder: str | Path,
    *,
    scale: int = 2,
    domain: Domain = "night-sky",
    seed: int = 0,
    channels: int = 16,
    blocks: int = 1,
    head_channels: int = 8,
    head_blocks: int = 1,
    target_fwhm: float = 2.0,
    name: str | None = None,
) -> Path:
    """Write a model folder whose weights are random but the same for the same arguments.

    Parameters
    ----------
    folder : str or Path
        Folder to write; made if it is not there.
    scale : {1, 2, 4, 8}
        Output pixels per input pixel; 8 makes a progressive sampler.
    domain : {"night-sky", "fluorescence"}
        Domain that the recipe states.
    seed : int
        Seed of the weights.
    channels, blocks, head_channels, head_blocks : int
        Size of the network.
    target_fwhm : float
        FWHM of the declared output PSF in output pixels.
    name : str, optional
        Name of the model; the folder's name by default.

    Returns
    -------
    Path
        The folder, for ``sciup.upscale(model=...)``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(p.name for p in write_toy_model(folder, channels=4).iterdir())
    ['recipe.yaml', 'weights.safetensors', 'weights.sha256']
    """
    folder = Path(folder)
    kind = "progressive" if scale == 8 else "posterior"
    recipe = {
        "name": name or folder.name,
        "domain": domain,
        "scale": scale,
        "target_fwhm": target_fwhm,
        "architecture": kind,
        "network": {
            "channels": channels,
            "blocks": blocks,
            "head_channels": head_channels,
            "head_blocks": head_blocks,
        },
    }
    # the caller's random state stays as it is
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = ARCHITECTURES[kind](recipe)
    upsample = next(m for m in net.draw_head.modules() if isinstance(m, Upsample))
    with torch.no_grad():
        upsample.last.weight.mul_(SPREAD)
        if isinstance(net.mean_head, MeanSteps):
            net.mean_head.last.weight.mul_(30)  # else its keypoints would be the same everywhere
    return _written(folder, recipe, net)


def write_toy_texture(
    folder: str | Path,
    sampler: str | Path,
    *,
    seed: int = 0,
    channels: int = 8,
    fine: int = 4,
    **has: bool,
) -> Path:
    """Write a texture model that stands on a toy model.

    Parameters
    ----------
    folder : str or Path
        Folder to write; made if it is not there.
    sampler : str or Path
        Folder of the model that it stands on.
    seed : int
        Seed of the weights.
    channels, fine : int
        Size of the head.
    has : bool
        `noise` and `lit`, see `sciup.generators.texture.TextureHead`.

    Returns
    -------
    Path
        The folder, for ``sciup.upscale(texture=...)``.
    """
    folder = Path(folder)
    facts, net = ModelFacts.read(Path(sampler)), load_generator(Path(sampler))
    sizes = {"channels": channels, "blocks": 1, "fine": fine} | has
    recipe = {
        "name": folder.name,
        "architecture": "texture",
        "domain": facts.domain,
        "scale": facts.scale,
        "target_fwhm": facts.target_fwhm,
        "sampler": facts.name,
        "sampler_weights": facts.weights,
        "texture": sizes,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = TextureHead(folder.name, net, channels, 1, fine, **has)
    with torch.no_grad():
        head.fine.last.weight.mul_(SPREAD)
    return _written(folder, recipe, head)


def _written(folder: Path, recipe: dict[str, Any], net: torch.nn.Module) -> Path:
    """Recipe, weights and checksum of a model folder."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    state = {key: value.contiguous() for key, value in net.state_dict().items()}
    # one entry only: safetensors writes several in any order, and the checksum would not repeat
    save_file(state, weights, metadata={"recipe": json.dumps(recipe)})
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (folder / "weights.sha256").write_text(f"{digest}  {weights.name}\n")
    return folder


__all__ = ["write_toy_model", "write_toy_texture"]
