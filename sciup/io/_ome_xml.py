"""``OME/METADATA.ome.xml``: the list of a result's images for readers that look for it there.

The bioformats2raw layout (version 3) lets a root group name its images twice: in ``series`` and in
OME-XML. napari-ome-zarr reads only the second, and takes the path of an image from its ID.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ome_xml(images: Mapping[str, Sequence[Mapping[str, Any]]], shapes: Mapping[str, Any]) -> bytes:
    """Minimal valid OME-XML (2016-06) with one image per map.

    Parameters
    ----------
    images : mapping of str to sequence of mapping
        Path of every image and its OME-Zarr axes.
    shapes : mapping of str to tuple of int
        Length of every axis, by path.

    Examples
    --------
    >>> axes = [{"name": "y"}, {"name": "x"}]
    >>> b'ID="Image:mean"' in ome_xml({"mean": axes}, {"mean": (8, 8)})
    True
    """
    ElementTree.register_namespace("", NAMESPACE)
    root = ElementTree.Element(f"{{{NAMESPACE}}}OME")
    for number, (path, axes) in enumerate(images.items()):
        size = {a["name"].upper(): n for a, n in zip(axes, shapes[path], strict=True)}
        image = _child(root, "Image", ID=f"Image:{path}", Name=path)
        channels = size.get("C", 1)
        pixels = _child(
            image,
            "Pixels",
            ID=f"Pixels:{number}",
            DimensionOrder="XYZCT",
            Type="float",
            **{f"Size{a}": str(size.get(a, 1)) for a in "XYZCT"},
        )
        for channel in range(channels):
            _child(pixels, "Channel", ID=f"Channel:{number}:{channel}", SamplesPerPixel="1")
        _child(pixels, "MetadataOnly")
    return bytes(ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True))


def _child(parent: ElementTree.Element, name: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, f"{{{NAMESPACE}}}{name}", attributes)
