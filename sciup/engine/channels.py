"""Several channels in one run: what is stated of each, and what must be said of all."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sciup.geometry import Box
from sciup.image import Image, Plane
from sciup.io._channels import channel_facts, channel_names, spread
from sciup.physics.given import Given
from sciup.physics.instrument import Instrument
from sciup.physics.psf_error import parse_error
from sciup.physics.psf_source import read_psf

log = logging.getLogger(__name__)

OPTIONS = {
    "psf_fwhm": "--psf-fwhm",
    "psf": "--psf",
    "electrons_per_unit": "--gain",
    "read_noise": "--read-noise",
    "background": "--background",
    "noise_sigma": "--noise-sigma",
    "psf_error": "--psf-error",
}
"""Fields of `Given`, and the options that state them."""


def stated(image: Image, region: Box | None, **values: Any) -> tuple[Given, ...]:
    """What the user states of every channel; one for an image without channels.

    Parameters
    ----------
    image : Image
    region : Box, optional
        Part of the image; where a PSF varies it is taken at its middle.
    **values
        Fields of `Given`: one value for all channels, or a mapping from names or numbers.

    Raises
    ------
    OptionError
        If there is no such channel, or a value is not possible.
    """
    psf = values.get("psf")
    if isinstance(psf, Mapping):
        values["psf"] = {name: read_psf(one, image, region) for name, one in psf.items()}
    else:
        values["psf"] = read_psf(psf, image, region)
    told = {name: spread(image, OPTIONS[name], value) for name, value in values.items()}
    told["psf_error"] = tuple(map(parse_error, told.get("psf_error", (None,) * len(told["psf"]))))
    return tuple(
        Given(**dict(zip(told, one, strict=True))) for one in zip(*told.values(), strict=True)
    )


def channel_of(image: Image, plane: Plane) -> int:
    """Index of the channel that a plane belongs to."""
    return plane[image.axes.index("c")] if "c" in image.axes else 0


def of_channel(image: Image, plane: Plane) -> Image:
    """The image with the facts of the channel that a plane belongs to."""
    view = copy.copy(image)
    view.facts = channel_facts(image, channel_of(image, plane))
    return view


def names_of_planes(image: Image) -> list[str]:
    """Name of the channel of every plane, row-major; empty if there are no channels."""
    names = channel_names(image)
    return [names[channel_of(image, plane)] for plane in image.planes] if names else []


COMPARED = {
    "psf_fwhm": "PSF FWHM [input px]",
    "electrons_per_unit": "gain [electron per unit]",
    "read_noise": "read noise [electron]",
    "background": "background",
    "noise_sigma": "noise",
}
"""Fields of `Instrument` that tables of channels show, and their headings."""


def channel_rows(
    names: Sequence[str], instruments: Sequence[Instrument], models: Sequence[str] = ()
) -> list[list[str]]:
    """What is believed of each channel in its first plane, for a table; empty for one channel.

    Parameters
    ----------
    names : sequence of str
        Channel of every plane.
    instruments : sequence of Instrument
        Of every plane.
    models : sequence of str
        Of every plane, where they differ.

    Returns
    -------
    list of list of str
        Channel, the values of `COMPARED` with their origins, how well the width of the PSF is known
        where that was stated, and the model where models differ.
    """
    rows = []
    for name in dict.fromkeys(names):
        number = list(names).index(name)
        facts = [getattr(instruments[number], key) for key in COMPARED]
        told = ["" if f.value is None else f"{f.value:.4g} {f.origin}" for f in facts]
        if error := instruments[number].psf_error.value:
            told[0] += f", known to {100 * error:.3g} %"
        rows.append([name, *told, *models[number : number + 1]])
    return rows if len(rows) > 1 else []


def tell_colour(image: Image) -> None:
    """Say once what draws that know nothing of each other cannot show."""
    names = channel_names(image)
    if len(names) > 1:
        log.warning(
            "%d channels (%s) are drawn independently: colour and colocalisation below the"
            " resolution of the input are not supported by the data",
            len(names),
            ", ".join(names[:6]) + (", ..." if len(names) > 6 else ""),
        )


__all__ = [
    "COMPARED",
    "channel_of",
    "channel_rows",
    "names_of_planes",
    "of_channel",
    "stated",
    "tell_colour",
]
