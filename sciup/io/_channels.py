"""What a user says of single channels, as ``NAME=VALUE`` or as a mapping, spread over an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sciup.errors import OptionError
from sciup.image import Fact, Image

T = TypeVar("T")

OTHERS = "*"
"""Key of the value for all channels that are not named."""


def parse(option: str, told: Any, read: Callable[[Any], T]) -> T | dict[str, T] | None:
    """The words of a command line or of a file of jobs: one value, or values by channel.

    Parameters
    ----------
    option : str
        For messages: ``--psf-fwhm``.
    told : sequence of str, mapping, value or None
        ``VALUE`` for all channels, ``NAME=VALUE`` for one; NAME is a name or a number. A mapping
        from names to values says the same.
    read : callable
        From a text to a value; raises `ValueError`.

    Raises
    ------
    OptionError
        If a value cannot be read, or a channel is named twice.

    Examples
    --------
    >>> parse("--psf-fwhm", ["2.4"], float)
    2.4
    >>> parse("--psf-fwhm", ["2.4", "DAPI=2.1"], float)
    {'*': 2.4, 'DAPI': 2.1}
    """
    if told is None or told == []:
        return None
    found: dict[str, T] = {}
    for name, value in _pairs(told):
        if name in found:
            which = "all channels" if name == OTHERS else f"channel {name!r}"
            raise OptionError(f"{option} was given twice for {which}", "one value for a channel")
        try:
            found[name] = read(value)
        except (TypeError, ValueError):
            raise OptionError(
                f"{option} {value!r} is no number",
                "a number, or NAME=NUMBER for one channel; may be repeated",
            ) from None
    return found[OTHERS] if list(found) == [OTHERS] else found


def _pairs(told: Any) -> list[tuple[str, Any]]:
    if isinstance(told, Mapping):
        return [(str(name), value) for name, value in told.items()]
    texts = [told] if isinstance(told, str) or not isinstance(told, Sequence) else told
    split = [str(text).partition("=") for text in texts]
    return [(name.strip(), value) if sign else (OTHERS, name) for name, sign, value in split]


def channel_names(image: Image) -> list[str]:
    """Names of the channels, numbers of those without one; empty if there are no channels."""
    listed = image.metadata.get("channels") or []
    if "c" not in image.axes and len(listed) != 1:
        return []
    labels = [str(c.get("label", "")) for c in listed]
    if "c" not in image.axes:
        return labels
    first, count = _first(image), _count(image)
    labels = labels if len(labels) == count else [""] * count
    return [
        label if label and labels.count(label) == 1 else f"{label} {first + k}".strip()
        for k, label in enumerate(labels)
    ]


def spread(image: Image, option: str, told: T | Mapping[Any, T] | None) -> tuple[T | None, ...]:
    """The value of every channel; one for an image without channels.

    Parameters
    ----------
    image : Image
        Its channels are named as in the file; numbers are those of the file, from 0.
    option : str
        For messages.
    told : value or mapping
        One value for all channels, or values by name or number; `OTHERS` is the key for the rest.

    Raises
    ------
    OptionError
        If there is no such channel, or one is named twice.

    Examples
    --------
    >>> import numpy as np
    >>> from sciup.io._array import open_array
    >>> spread(open_array(np.zeros((2, 8, 8)), axes="cyx"), "--gain", {"*": 1.0, 1: 2.0})
    (1.0, 2.0)
    """
    count = _count(image)
    if not isinstance(told, Mapping):
        return (told,) * count
    named: dict[int, T] = {}
    for name, value in told.items():
        if name == OTHERS:
            continue
        index = _index(image, option, name)
        if index in named:
            raise OptionError(
                f"{option} was given twice for channel {str(name)!r}, under two names",
                "one value for a channel",
            )
        named[index] = value
    return tuple(named.get(k, told.get(OTHERS)) for k in range(count))


def channel_facts(image: Image, channel: int) -> Mapping[str, Fact]:
    """What the file says of the instrument, with the PSF of this channel where channels differ."""
    listed = image.metadata.get("channels") or []
    told = listed[channel].get("psf_fwhm") if channel < len(listed) else None
    if not told:
        return image.facts
    return {**image.facts, "psf_fwhm": Fact(told["value"], "header", told["note"])}


def _count(image: Image) -> int:
    return image.shape[image.axes.index("c")] if "c" in image.axes else 1


def _first(image: Image) -> int:
    """Number in the file of the first channel: others may have been left out."""
    return image.part_of[1][image.axes.index("c")] if image.part_of else 0


def _index(image: Image, option: str, name: object) -> int:
    """Index of a channel of the image."""
    text, names = str(name).strip(), channel_names(image)
    if not names:
        raise OptionError(
            f"{option} names the channel {text!r}, but {image.source} has no channels"
            f" (axes {image.axes})",
            "a value without NAME=",
            f"a value with '=' in it is written {OTHERS}=VALUE" if isinstance(name, str) else "",
        )
    for same in (str, str.lower):
        hits = [k for k, own in enumerate(names) if same(own) == same(text)]
        if len(hits) == 1:
            return hits[0]
    first = _first(image) if "c" in image.axes else 0
    if text.isdecimal() and 0 <= int(text) - first < len(names):
        return int(text) - first
    listed = ", ".join(f"{first + k} ({own})" for k, own in enumerate(names))
    raise OptionError(
        f"{option} names the channel {text!r}, which {image.source} has not",
        f"its channels {listed}, by number or name",
        f"a value with '=' in it is written {OTHERS}=VALUE",
    )


__all__ = ["OTHERS", "channel_facts", "channel_names", "parse", "spread"]
