"""A result of sciup as a ready group of layers, exactly on the image it was made of."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.image import PixelGrid
from sciup.results.finished import Finished
from sciup_napari.fits_layers import LayerData
from sciup_napari.fits_place import celestial, own_grid, place_keywords, sky_of
from sciup_napari.lazy import data_of, few, pyramid, robust_limits, token
from sciup_napari.looks import LIGHT, LOOKS, kind_of, look, look_of, meaning
from sciup_napari.result_source import Source, find_source
from sciup_napari.result_words import Verdict, verdict_of
from sciup_napari.zarr_layers import array_at, attributes_of

logger = logging.getLogger("sciup")


def read_result(path: str | Path) -> list[LayerData]:
    """All maps of a result, from the bottom of the layer list to its top.

    Parameters
    ----------
    path : path
        A FITS file or OME-Zarr folder that `sciup upscale` wrote.

    Raises
    ------
    InputError
        If it is not a whole result.
    """
    done = Finished.open(path)
    group = Group(done, find_source(done), verdict_of(done.facts))
    layers = group.layers()
    problem = "" if group.verdict.fine else group.verdict.words
    if problem:
        _warn(f"{done.path.name}: {problem}")
    return layers


@dataclass(frozen=True)
class Group:
    """The layers of one result.

    Attributes
    ----------
    done : Finished
    source : Source
        What it was made of, as far as it is still there.
    verdict : Verdict
    """

    done: Finished
    source: Source
    verdict: Verdict

    def layers(self) -> list[LayerData]:
        """One layer per map and channel."""
        levels = self.levels()
        order = [*(n for n in LOOKS if n in levels), *(n for n in levels if n not in LOOKS)]
        made: list[LayerData] = []
        for channel in range(self.channels):
            limits = self.light(levels, channel)
            part = {name: self.layer(name, levels[name], channel, limits) for name in order}
            if self.source.levels is not None:
                light = (limits[0] * self.done.flux, limits[1] * self.done.flux)
                part["input"] = self.input_layer(channel, light)
            made += [part[name] for name in ("samples", "input") if name in part]
            made += [part[name] for name in order if name != "samples"]
        return made

    @property
    def axes(self) -> str:
        """Letters of the axes of a map."""
        return self.done.image.axes

    @property
    def channels(self) -> int:
        """Length of the channel axis; 1 without."""
        return self.done.image.shape[self.axes.index("c")] if "c" in self.axes else 1

    def levels(self) -> dict[str, list[Any]]:
        """Lazy levels of every map; kept samples together, with a leading axis."""
        folder = self.done.path.is_dir()
        found = {n: (self._zarr(n) if folder else self._fits(n)) for n in self.done.maps}
        apart = [n for n in found if n.startswith("samples/")]
        if apart:
            import dask.array as da

            stacks = [found.pop(n) for n in sorted(apart, key=lambda n: int(n.partition("/")[2]))]
            found["samples"] = [da.stack(level) for level in zip(*stacks, strict=True)]
        return found

    def _zarr(self, name: str) -> list[Any]:
        folder = self.done.path / name
        listed = attributes_of(folder)["multiscales"][0]["datasets"]
        return [array_at(folder / str(d["path"])) for d in listed]

    def _fits(self, name: str) -> list[Any]:
        pixels: Any = self.done.maps[name]
        return pyramid(pixels.values, pixels.shape, token(str(self.done.path), name))

    def light(self, levels: Mapping[str, list[Any]], channel: int) -> tuple[float, float]:
        """One pair of contrast limits for all maps that show light."""
        name = next((n for n in ("mean", "sample", "samples") if n in levels), None)
        return (0.0, 1.0) if name is None else robust_limits(self._some(levels[name], channel))

    def _some(self, levels: list[Any], channel: int) -> NDArray[np.float64]:
        level = self._channel(levels, channel)[0]
        return few(lambda plane, box: np.asarray(level[(*plane, *box.slices)]), level.shape)

    def _channel(self, levels: list[Any], channel: int) -> list[Any]:
        """Levels without the channel axis, which lies at the same place from the end."""
        if "c" not in self.axes:
            return levels
        at = len(self.axes) - self.axes.index("c")
        return [level[(slice(None),) * (level.ndim - at) + (channel,)] for level in levels]

    def place(self, extra: int = 0) -> dict[str, Any]:
        """Scale, translate, units and axis labels of a map with `extra` leading axes."""
        letters = self.axes.replace("c", "")
        leading = self.source.leading or self.done.image.metadata.get("axes") or {}
        place = place_keywords(self.grid, letters, leading)
        if extra:
            place["scale"] = (1.0,) * extra + place["scale"]
            place["translate"] = (0.0,) * extra + place["translate"]
            place["units"] = ("pixel",) * extra + place["units"]
            place["axis_labels"] = ("sample",) * extra + place["axis_labels"]
        return place

    @property
    def grid(self) -> PixelGrid:
        """Grid of the maps in the world of the source, as far as the source is known."""
        scale, start = self.done.scale, self.done.region.start
        at = (int(start[-2]), int(start[-1]))
        if self.source.grid is not None:
            return scaled(self.source.grid, scale, at)
        own = own_grid(self.done.image)
        if own.size is not None and (self.done.path.is_dir() or own.unit != "arcsec"):
            return own  # their origin is stored
        coarse = None if own.size is None else (own.size[0] * scale, own.size[1] * scale)
        return scaled(PixelGrid(coarse, own.unit), scale, at)

    def input_layer(self, channel: int, limits: tuple[float, float]) -> LayerData:
        """The source, hidden below its maps."""
        levels = self._channel(self.source.levels or [], channel)
        return self._made("input", levels, channel, limits)

    def layer(
        self, name: str, levels: list[Any], channel: int, light: tuple[float, float]
    ) -> LayerData:
        """One map."""
        limits: tuple[float, float] | None = light if name in LIGHT else None
        mine = self._channel(levels, channel)
        if limits is None and kind_of(name) == "image" and look_of(name).limits is None:
            limits = (0.0, robust_limits(self._some(levels, channel))[1])
        if kind_of(name) == "labels":
            mine = [(level > 0.5).astype(np.uint8) for level in mine]
        return self._made(name, mine, channel, limits)

    def _made(
        self, name: str, levels: list[Any], channel: int, limits: tuple[float, float] | None
    ) -> LayerData:
        given = name == "input"
        extra = levels[0].ndim - len(self.axes.replace("c", ""))
        place = self.source.place if given else self.place(extra)
        keywords = look(name, limits)
        keywords["name"] = self.name(name, channel)
        keywords["visible"] = keywords["visible"] and channel == 0
        if name == "mean" and "sample" not in self.done.maps:
            keywords["visible"] = channel == 0
        keywords["metadata"] = self.about(name, channel)
        made = data_of(levels)
        return made.pop("data"), keywords | dict(place) | made, kind_of(name)

    def name(self, name: str, channel: int) -> str:
        """Name of a layer: what it is first, because lists are narrow."""
        title = look_of(name).title
        tag = self.verdict.tag if name.startswith("risk") or name == "alarm" else ""
        if tag and tag not in title:
            title = f"{title} ({tag})"
        stem = self.done.path.name.removesuffix(".fits").removesuffix(".zarr").removesuffix(".ome")
        labels = self.done.image.metadata.get("channels") or []
        label = str(labels[channel].get("label", "")) if channel < len(labels) else ""
        part = f" · {label or f'channel {channel}'}" if self.channels > 1 else ""
        return f"{title} · {stem}{part}"

    def about(self, name: str, channel: int) -> dict[str, Any]:
        """Metadata of a layer."""
        if name == "input":
            given: dict[str, Any] = {"role": "input", "source": dict(self.source.source)}
            given |= {"unit": self.done.image.unit, "notes": list(self.source.notes)}
            return {"sciup": given, "header": self.source.header, "wcs": self.source.wcs}
        facts = self.done.facts
        ours = {
            "role": "map",
            "map": name,
            "meaning": meaning(name),
            "path": str(self.done.path.absolute()),
            "channel": channel if self.channels > 1 else None,
            "axes": self.axes.removesuffix("yx"),
            "scale": self.done.scale,
            "region": [list(self.done.region.start), list(self.done.region.stop)],
            "model": facts.get("model"),
            "seed": facts.get("seed"),
            "samples": facts.get("samples"),
            "tolerance": self.done.tolerance.words,
            "verdict": self.verdict.words,
            "calibrated": bool((facts.get("risk") or {}).get("calibrated")),
            "out_of_domain": self.verdict.tag == "out of domain",
            "unit": self.done.image.unit,
            "provenance": facts,
            "notes": list(self.source.notes),
        }
        return {"sciup": ours, "header": self.header, "wcs": self.wcs}

    @functools.cached_property
    def wcs(self) -> Any:
        """The celestial WCS of the maps, if any."""
        if self.header is self.done.image.header and self.header is not None:
            return celestial(self.done.image)
        return sky_of(self.header, str(self.done.path))

    @functools.cached_property
    def header(self) -> Any:
        """The FITS header of the maps, where the source was FITS."""
        if not self.done.path.is_dir():
            return self.done.image.header
        text = (attributes_of(self.done.path).get("sciup") or {}).get("fits_header")
        if not text:
            return None
        from astropy.io.fits import Header

        return Header.fromstring(str(text), sep="\n")


def scaled(grid: PixelGrid, scale: int, start: tuple[int, int]) -> PixelGrid:
    """The finer grid, also where the pixel size is not known and the world is in pixels."""
    known = grid if grid.size is not None else PixelGrid((1.0, 1.0), None, grid.origin)
    return known.scaled(scale, start)


def _warn(message: str) -> None:
    try:
        from napari.utils.notifications import show_warning
    except ImportError:
        logger.warning("%s", message)
    else:
        show_warning(message)


__all__ = ["Group", "read_result", "scaled"]
