"""A recipe to begin with, with a comment at every line that is likely to be changed."""

from __future__ import annotations

import re
from pathlib import Path

from sciup.errors import OptionError, OutputError

_HEAD = """\
# Recipe of {name}. Train it with
#   sciup train {name}.yaml --data FOLDER --out runs/{name}
# An unknown key is an error, so a typing mistake cannot go unnoticed.
name: {name}
domain: {domain}
scale: {scale}                      # output pixels per input pixel: 1, 2 or 4
target_fwhm: 2.0              # resolution of the output that is promised, output px
seed: 1                       # the whole run follows from it
steps: {steps}
batch: {batch}
draws: 2                      # scored together
core: {core}                      # side of a crop that counts, input px
learning_rate: 2.0e-3         # halve it if training diverges
held_out: 0.2                 # share of the files that is kept for `sciup evaluate`
"""

_NETWORK = """\
network: {channels: 16, blocks: 3, head_channels: 16, head_blocks: 1}
"""

_FLUORESCENCE = """\
binned_share: 0.25            # of crops from images that were binned 2 x 2 first
degradation:                  # every crop sees an instrument drawn from these ranges
  psf_fwhm: [0.6, {widest}]        # blur beyond the target, FWHM in input px
  shapes: {{gaussian: 0.7, airy: 0.3}}
  ellipticity: 0.15
  guessed_psf_share: 0.2      # of kernels: told a width only, wrong by some per cent
  peak_electrons: [10, 2000]  # of the brightest structure: how deep the exposures are
  background: [0.01, 0.1]     # dark level, relative to the peak
  read_noise: [0.5, 3]        # electrons
  multiplied_share: 0.1       # EMCCD cameras
  quantised_share: 0.2        # 8-bit and other coarse files
  correlated_share: 0.1
  haze_share: 0.25            # light from out of focus
  masked_share: 0.1           # dead pixels, columns, regions
trust: {{rounds: 0}}
loss: {{waves: 0.7, block_means: 0.5, linear: 0.03, energy: 0, mean: 1.0, imprint: 0.03}}
sources:                      # sharp and deep images of what you look at
  - {{path: ".", share: 1.0}}   # a folder, a file or a glob below --data; `channel: 0` picks one
"""

_SKY = """\
degradation:                  # every crop sees an instrument drawn from these ranges
  psf_fwhm: [1.3, 3.2]        # of the whole PSF, input px
  shapes: {{gaussian: 0.3, moffat: 0.7}}
  ellipticity: 0.08
  guessed_psf_share: 0.2      # of kernels: told a width only, wrong by some per cent
  depth: [0.5, 4]             # factor on the fluxes
  electrons_per_sigma: [3, 300]
  correlated_share: 0.3       # drizzled or resampled frames
  masked_share: 0.3           # dead pixels, columns, regions
trust: {{lock: 0.2, rounds: 3}}
loss: {{waves: 0.8, block_means: 0.5, linear: 0.1, energy: 0, mean: 1.0}}
sources:                      # deep frames whose PSF is stated or shows in stars
  - {{path: ".", share: 1.0}}   # a folder, a file or a glob below --data
"""

WIDEST = {1: 2.0, 2: 2.6, 4: 3.5}


def write_recipe(name: str, domain: str, scale: int, *, quick: bool = False) -> Path:
    """Write ``NAME.yaml`` into the current folder.

    Parameters
    ----------
    name : str
        Of the model: letters, digits, ``-``, ``_`` and ``.``.
    domain : {"fluorescence", "night-sky"}
        Family of instruments.
    scale : {1, 2, 4}
        Output pixels per input pixel.
    quick : bool
        A small network and few steps.

    Raises
    ------
    OptionError
        For another name, domain or scale.
    OutputError
        If the file exists or cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise OptionError(
            f"--new {name!r}", "letters, digits, -, _ and .", "for example my-cells-x2"
        )
    if domain not in ("fluorescence", "night-sky"):
        raise OptionError(f"--domain {domain!r}", "fluorescence, night-sky")
    if scale not in WIDEST:
        raise OptionError(
            f"--scale {scale}", "1, 2, 4", "for 8x, begin with that of progressive-fluorescence-x8"
        )
    path = Path(f"{name}.yaml")
    try:
        with path.open("x") as file:
            file.write(recipe(name, domain, scale, quick=quick))
    except FileExistsError:
        raise OutputError(f"{path} exists", fix="choose another name, or remove it") from None
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from None
    return path


def recipe(name: str, domain: str, scale: int, *, quick: bool) -> str:
    """The text of a recipe; arguments as for `write_recipe`."""
    body = _FLUORESCENCE if domain == "fluorescence" else _SKY
    sizes = (
        {"steps": 800, "batch": 4, "core": 32} if quick else {"steps": 6000, "batch": 6, "core": 48}
    )
    head = _HEAD.format(name=name, domain=domain, scale=scale, **sizes)
    return head + (_NETWORK if quick else "") + body.format(widest=WIDEST[scale])
