"""A finished result as OME-TIFF: its maps are the channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sciup.geometry import Box
from sciup.image import Float, Plane
from sciup.io._tiff_writer import Address, Levels, Pages, ome_facts, page_sizes, write_ome_tiff
from sciup.results.contents import Contents
from sciup.results.encode import Encoding


class Channels:
    """Which channel of the TIFF holds which map, sample and channel of the image.

    Parameters
    ----------
    contents : Contents
    """

    def __init__(self, contents: Contents) -> None:
        self.contents, image = contents, contents.layout.image
        self.axes = image.axes[:-2]
        times, self.count, depth = page_sizes(image.axes, image.shape)
        layout = contents.layout
        self.maps: list[tuple[str, Plane]] = [(name, ()) for name in layout.maps]
        self.maps += [("samples", (k,)) for k in range(layout.samples)]
        self.sizes = (times, self.count * len(self.maps), depth)

    @property
    def names(self) -> list[str]:
        """Of all channels: the map, and the image's own channel where there are several."""
        known = self.contents.layout.image.metadata.get("channels") or [{}] * self.count
        own = [str(c.get("label") or i) for i, c in enumerate(known)]
        titles = [
            f"sample {k[0]}" if k else self.contents.layout.title(name) for name, k in self.maps
        ]
        return [
            f"{title} {label}" if self.count > 1 else title for title in titles for label in own
        ]

    def page(self, name: str, plane: Plane) -> Address:
        """Where a plane of a map is; of ``samples``, `plane` is ``(k, *plane)``."""
        k, plane = (plane[:1], plane[1:]) if name == "samples" else ((), plane)
        at = dict(zip(self.axes, plane, strict=True))
        channel = self.maps.index((name, k)) * self.count + at.get("c", 0)
        return at.get("t", 0), channel, at.get("z", 0)

    def read(self, page: Address, box: Box) -> Float:
        """A window of a page."""
        (name, k), channel = self.maps[page[1] // self.count], page[1] % self.count
        at = {"t": page[0], "c": channel, "z": page[2]}
        return self.contents.values(name, (*k, *(at[a] for a in self.axes)), box)


def write(
    contents: Contents,
    work: Path,
    progress: Callable[[int, int], None],
    facts: dict[str, Any],
    codes: Mapping[str, Encoding],
) -> Path:
    """Write ``result.ome.tif`` into a folder, with scratch files for the coarser levels."""
    channels, image = Channels(contents), contents.layout.image
    dtype = next(iter(codes.values())).dtype

    def stored(channel: int, values: Float) -> NDArray[Any]:
        return codes[channels.maps[channel // channels.count][0]].stored(values)

    pages = Pages(channels.sizes, image.plane_shape, channels.names, channels.read, stored, dtype)
    levels, total = Levels(work, pages), len(contents.parts)
    for done, (name, plane, box, values, _) in enumerate(contents.shards(), start=1):
        levels.add(channels.page(name, plane), box, values)
        progress(done, 2 * total)
    path = work / "result.ome.tif"
    known = image.metadata.get("axes") or {}
    about = ome_facts(contents.done.path.name, pages, image.grid, known, facts)
    write_ome_tiff(path, pages, levels, about)
    progress(2 * total, 2 * total)
    return path


__all__ = ["Channels", "write"]
