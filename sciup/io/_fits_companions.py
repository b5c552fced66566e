"""Noise, weight and data quality that stand beside a FITS image."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Bool, Fact, Float, Origin, Plane
from sciup.io._fits_clean import logger
from sciup.io._fits_files import Hdu, describe, find_hdu, local_file, scan
from sciup.io._fits_pixels import Pixels, pixels_of
from sciup.io._units import is_power, normalise_unit

Kind = Literal["sigma", "variance", "inverse variance", "weight", "quality"]
Role = Literal["err", "weight", "dq"]

_SCIENCE_NAMES = ("", "PRIMARY", "SCI", "SCIENCE", "IMAGE", "DATA", "COMPRESSED_IMAGE")
_CONVENTION: dict[str, Kind] = {
    "ERR": "sigma", "ERROR": "sigma", "SIGMA": "sigma", "RMS": "sigma",
    "VAR": "variance", "VARIANCE": "variance",
    "IVAR": "inverse variance", "INVVAR": "inverse variance",
    "WHT": "weight", "WEIGHT": "weight",
    "DQ": "quality", "MASK": "quality",
}  # fmt: skip
_ROLES: dict[Kind, Role] = {
    "sigma": "err", "variance": "err", "inverse variance": "weight", "weight": "weight",
    "quality": "dq",
}  # fmt: skip
_FITTING: dict[Role, tuple[Kind, ...]] = {
    "err": ("sigma", "variance", "inverse variance"),
    "weight": ("weight", "inverse variance"),
    "dq": ("quality",),
}
"""What may be given for a role, the likeliest first."""

_POWERS: dict[Kind, int] = {"sigma": 1, "variance": 2, "inverse variance": -2}
"""Of the unit of the image."""

_SAID: dict[str, Kind] = {"var:": "variance", "ivar:": "inverse variance"}
"""What may stand before a file's name where its header does not say what it holds."""

_NOTES: dict[Kind, str] = {
    "sigma": "one-sigma noise",
    "variance": "sigma = sqrt(variance)",
    "inverse variance": "sigma = 1/sqrt(weight); pixels of weight 0 are left out",
    "weight": "relative weight, its header does not say that it is an inverse variance: pixels of "
    "weight 0 are left out, and the noise is not known from it",
    "quality": "pixels with one of the bad bits are left out",
}


@dataclass(frozen=True, slots=True)
class Companion:
    """An image of the same size that says something of the noise or the quality."""

    kind: Kind
    pixels: Pixels

    def values(self, plane: Plane, box: Box) -> Float:
        """Its values (h, w); one plane may serve all planes of a cube."""
        return self.pixels.values(self._plane(plane), box)

    def footprint(self, plane: Plane, box: Box, bad: int) -> Bool | None:
        """True (h, w) where the pixel may be used; None if it does not say."""
        if self.kind == "quality":
            return ~self.pixels.flags(self._plane(plane), box, bad)
        if self.kind in ("weight", "inverse variance"):
            return np.asarray(self.values(plane, box) > 0)
        return None

    def sigma(self, plane: Plane, box: Box) -> Float | None:
        """One-sigma noise (h, w), NaN where there is no valid value; None if it does not say."""
        if self.kind in ("weight", "quality"):
            return None
        values: Float = self.values(plane, box)
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.kind != "sigma":
                np.sqrt(values, out=values)
            if self.kind == "inverse variance":
                np.divide(1, values, out=values)
            valid = (values > 0) & np.isfinite(values)
        return np.where(valid, values, np.nan).astype(np.float32)

    def _plane(self, plane: Plane) -> Plane:
        return plane if len(self.pixels.shape) > 2 else ()


def find_companions(
    hdus: Sequence[Hdu],
    science: Hdu,
    given: Mapping[Role, int | str | None],
    scratch: str | os.PathLike[str] | None,
    source: str,
) -> tuple[tuple[Companion, ...], dict[str, Fact]]:
    """What was asked for, else what stands in the file by convention.

    Parameters
    ----------
    hdus : sequence of Hdu
        All of the file.
    science : Hdu
        The image chosen; only companions with its EXTVER are taken.
    given : mapping
        ``FILE``, ``FILE[HDU]``, ``[HDU]`` or a number for the roles ``err``, ``weight`` and ``dq``;
        ``var:`` or ``ivar:`` before it says what it holds where its header does not.
    scratch, source
        As in `sciup.io._fits.open_fits`.

    Returns
    -------
    companions : tuple of Companion
        At most one per role, the noise first.
    notes : dict of str to Fact
        For people: ``sigma``, ``weight`` and ``quality``, and where they come from.

    Raises
    ------
    InputError
        If something given does not fit.
    OptionError
        If there is no such HDU.
    """
    chosen: dict[Role, tuple[Kind, Hdu, Origin]] = {}
    for hdu in hdus if science.name in _SCIENCE_NAMES else ():
        kind = _kind_by_convention(hdu, science)
        if kind is None or _ROLES[kind] in chosen:
            continue
        problem = _unfit(hdu, science) or _other_unit(hdu, kind, science) or _twins(hdu, hdus)
        if problem:
            logger.warning("%s: HDU %s is not used: %s", source, hdu, problem)
        elif not _says_nothing(hdu, kind):
            chosen[_ROLES[kind]] = kind, hdu, "header"
    for role, text in given.items():
        if text is not None:
            kind, hdu = _given(role, text, hdus, science, scratch, source)
            chosen[role] = kind, hdu, "given"
    companions, notes = [], {}
    for role in ("err", "weight", "dq"):
        if role in chosen:
            kind, hdu, origin = chosen[role]
            companions.append(Companion(kind, pixels_of(hdu)))
            where = f"{Path(hdu.path).name}[{hdu.index}]" if origin == "given" else f"HDU {hdu}"
            notes["sigma" if role == "err" else "weight" if role == "weight" else "quality"] = Fact(
                kind, origin, f"{where}: {_NOTES[kind]}"
            )
    return tuple(companions), notes


def _kind_by_convention(hdu: Hdu, science: Hdu) -> Kind | None:
    kind = _CONVENTION.get(hdu.name)
    if kind is None or hdu.version != science.version or hdu.index == science.index:
        return None
    if not hdu.is_image:  # HDUs without data are placeholders
        return None
    return "inverse variance" if kind == "weight" and _is_inverse_variance(hdu) else kind


def _is_inverse_variance(hdu: Hdu) -> bool:
    """Only where the header says so: most weight maps are exposure times or relative."""
    header = hdu.header
    if hdu.name in ("IVAR", "INVVAR"):
        return True
    if str(header.get("WHT_TYPE", "")).strip().upper() in ("IVM", "IVAR", "ERR"):
        return True
    said = " ".join(
        str(header.get(key, "")) for key in ("BUNIT", "WHTTYPE", "WEIGHTTP", "PRODTYPE")
    )
    said += " " + str(header.comments["BUNIT"] if "BUNIT" in header else "")
    return bool(re.search(r"inverse[ _-]?var|invvar|\bivar\b|\bivm\b|^\s*1\s*/.*(\^|\*\*)\s*2",
                          said, re.IGNORECASE))  # fmt: skip


def _says_nothing(hdu: Hdu, kind: Kind) -> bool:
    """An extension of one constant value: no noise at all, no flags."""
    return hdu.kind == "constant" and kind != "weight" and not hdu.header["PIXVALUE"]


def _unfit(hdu: Hdu, science: Hdu) -> str:
    """Why an HDU cannot go with the image; empty if it can."""
    if not hdu.is_image:
        return f"it is no image ({hdu.kind})"
    if hdu.shape not in (science.shape, science.shape[-2:]):
        return f"it has {_size(hdu)} px, the image {_size(science)} px"
    return ""


def _twins(hdu: Hdu, hdus: Sequence[Hdu]) -> str:
    """Whether several are called like one of them, as chips that EXTVER does not tell apart."""
    same = [h for h in hdus if (h.name, h.version) == (hdu.name, hdu.version)]
    return f"{len(same)} are called so, choose one by its number" if len(same) > 1 else ""


def _other_unit(hdu: Hdu, kind: Kind, science: Hdu) -> str:
    """How the unit of an HDU contradicts what it is taken for; empty if it does not."""
    if kind not in _POWERS or not ("BUNIT" in hdu.header and "BUNIT" in science.header):
        return ""
    mine, base = (normalise_unit(h.header["BUNIT"]) for h in (hdu, science))
    if mine is None or base is None or is_power(mine, base, _POWERS[kind]):
        return ""
    wanted = "" if kind == "sigma" else f", which a {kind} has to the power {_POWERS[kind]}"
    return f"its unit is {mine}, that of the image {base}{wanted}"


def _size(hdu: Hdu) -> str:
    return " x ".join(map(str, hdu.shape))


def _given(
    role: Role,
    wanted: int | str,
    hdus: Sequence[Hdu],
    science: Hdu,
    scratch: str | os.PathLike[str] | None,
    source: str,
) -> tuple[Kind, Hdu]:
    """The HDU that ``FILE``, ``FILE[HDU]``, ``[HDU]`` or a number names, and what it is."""
    text = f"[{wanted}]" if isinstance(wanted, int) else wanted
    said = next((p for p in _SAID if text.startswith(p) and role != "dq"), "")
    text = text.removeprefix(said)
    if not Path(text).exists() and text.partition(",")[0].strip().upper() in {h.name for h in hdus}:
        text = f"[{text}]"
    match = None if Path(text).exists() else re.fullmatch(r"(.*)\[([^\[\]]+)\]", text)
    file, name = (match[1], match[2]) if match else (text, None)
    others = scan(local_file(file, scratch), file) if file else hdus
    if name is not None:
        hdu = find_hdu(others, name, file or source)
    else:
        hdu = _likely(others, hdus, role, science, file)
    kind = _SAID.get(said) or _kind_for(role, hdu)
    problem = _unfit(hdu, science)
    if not problem and kind not in _FITTING[role] and not said:
        problem = f"its name {hdu.name} says {kind}"
    if not problem and not said:
        problem = _other_unit(hdu, kind, science)
    if problem:
        raise InputError(
            f"{text} cannot be used as {role} of {source}: {problem}",
            f"an image of {_size(science)} px in the unit of the image",
            f"choose another file or HDU: {describe(others)}"
            + ("; or say what it holds, var:FILE or ivar:FILE" if role == "err" else ""),
        )
    return kind, hdu


def _kind_for(role: Role, hdu: Hdu) -> Kind:
    """What an HDU given for a role holds, as its name and its header tell."""
    kind = _CONVENTION.get(hdu.name)
    if role != "dq" and kind in (None, "weight") and _is_inverse_variance(hdu):
        return "inverse variance"
    if kind is None or (role != "err" and kind not in _FITTING[role]):
        return _FITTING[role][0]  # a mask by another name is one, a noise by another name is not
    return kind


def _likely(hdus: Sequence[Hdu], own: Sequence[Hdu], role: Role, science: Hdu, file: str) -> Hdu:
    """In another file: the extension of that name, else of the image's name, else the only one.

    Without names the one of the image's number, if the file is laid out like the image's. An image
    in the primary is what the file is about, whatever stands behind it.
    """
    images = [hdu for hdu in hdus if hdu.usable]
    kinds = [[h for h in images if _CONVENTION.get(h.name) == kind] for kind in _FITTING[role]]
    version = [[h for h in named if h.version == science.version] for named in kinds]
    same = [h for h in images if (h.name, h.version) == (science.name or None, science.version)]
    theirs, ours = ([(h.name, h.version, h.shape) for h in found] for found in (hdus, own))
    number = [h for h in images if h.index == science.index and theirs == ours]
    primary = [h for h in images if h.index == 0]
    for found in (*version, same, number, *kinds, images, primary):
        if len(found) == 1:
            return found[0]
    if images:
        raise InputError(
            f"{file} holds {len(images)} images, none of them named like the image "
            f"({science.name or 'no name'},{science.version})", f"an image of {_size(science)} px",
            f"say which one belongs to it, {file}[HDU]: {describe(hdus)}",
        )  # fmt: skip
    raise InputError(f"{file} holds no image to use as {role}", f"an image of {_size(science)} px",
                     f"give another file; this one has HDUs {describe(hdus)}")  # fmt: skip
