"""The annotation of an OME-TIFF that says how it was made, and the checksum that guards it.

It is JSON in a ``CommentAnnotation``: what the root of an OME-Zarr result holds under ``sciup``.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from sciup.errors import InputError
from sciup.io._check import input_errors
from sciup.io._zarr_sums import OWN, own_sum

NAMESPACE = "sciup/provenance"
"""Of the annotation."""

PLACE = "sciup writes here"
"""What stands in the XML where the annotation will be."""

Xml = ElementTree.Element


def with_note(xml: str, about: dict[str, Any]) -> str:
    """OME-XML with the annotation put in, and its checksum in the annotation.

    Parameters
    ----------
    xml : str
        Has an annotation of `NAMESPACE` whose value is `PLACE`.
    about : dict
        JSON-ready.
    """
    about = about | {OWN: _sum(ElementTree.fromstring(xml), about)}
    # NaN is a word of Python's JSON only, but some provenance has it: it is read by us
    return xml.replace(PLACE, escape(json.dumps(about)))


def _sum(root: Xml, about: dict[str, Any]) -> str:
    """Checksum of all of the OME-XML: the annotation without itself, and what stands around it."""
    value = _value(root)
    if value is not None:
        value.text = None
    around = ElementTree.canonicalize(ElementTree.tostring(root, encoding="unicode"))
    return own_sum({"ome": around, "sciup": about})


def _value(root: Xml) -> Xml | None:
    """Where the annotation is; None if there is none."""
    for note in root.iterfind("{*}StructuredAnnotations/{*}CommentAnnotation"):
        if note.get("Namespace") == NAMESPACE:
            return note.find("{*}Value")
    return None


def read_note(path: Path) -> dict[str, Any] | None:
    """The annotation of a TIFF file; None if it has none.

    Raises
    ------
    InputError
        If file or annotation cannot be read.
    """
    root = _xml(path)
    return None if root is None else _note(root, path)


def was_noted(path: Path) -> bool:
    """Whether there is an annotation of a result, in whatever state; not that of fewer bits."""
    try:
        return "encoding" not in (read_note(path) or {"encoding": None})
    except InputError:
        with suppress(InputError):
            return NAMESPACE in _description(path)
        return False


def note_is_whole(path: Path) -> bool:
    """Whether the OME-XML is that which was written."""
    root = _xml(path)
    about = None if root is None else _note(root, path)
    return root is not None and about is not None and about.get(OWN) == _sum(root, about)


def _note(root: Xml, path: Path) -> dict[str, Any] | None:
    value = _value(root)
    if value is None:
        return None
    with input_errors(f"the provenance of {path} cannot be understood"):
        about = json.loads(value.text or "")
        if not isinstance(about, dict):
            raise TypeError(f"a {type(about).__name__}")
        return about


def _xml(path: Path) -> Xml | None:
    """The OME-XML, if it has an annotation of ours."""
    text = _description(path)
    with input_errors(f"the OME-XML of {path} cannot be read"):
        return ElementTree.fromstring(text) if NAMESPACE in text else None


def _description(path: Path) -> str:
    """What the first page says, which is there though the file be cut off."""
    import tifffile

    with input_errors(f"{path} cannot be read as TIFF"), tifffile.TiffFile(path) as tiff:
        return str(tiff.pages.first.description)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance stored in an OME-TIFF that holds all of a result.

    Raises
    ------
    InputError
        If it does not, or has fewer bits.
    """
    about = read_note(Path(path))
    if about is None or not isinstance(about.get("provenance"), dict):
        raise InputError(f"{path} holds no provenance of sciup", "a finished result")
    if "encoding" in about:
        raise fewer_bits(path)
    return dict(about["provenance"])


def fewer_bits(path: str | Path) -> InputError:
    """The error for copies of `sciup convert --dtype uint16`: each map has an offset and a step."""
    return InputError(
        f"{path} is a copy of a result with fewer bits, whose numbers are not its values",
        fix="take the result that it was made of, or a copy without --dtype",
    )


__all__ = [
    "NAMESPACE", "PLACE", "fewer_bits", "note_is_whole", "read_note", "read_provenance",
    "was_noted", "with_note",
]  # fmt: skip
