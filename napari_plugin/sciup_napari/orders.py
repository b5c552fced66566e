"""What an order means to the library; in the child process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sciup_napari.messages import Explore, Explored, Opened, Order, Source

MAPS = ("sample", "mean", "std", "support", "tolerance", "snr")
"""Maps of a window, calibrated or not."""

RISKS = ("risk", "risk_bound", "risk_invented", "risk_missed", "risk_mean", "alarm", "ood")


def image_of(order: Order, *, whole: bool = False) -> Any:
    """The image of an order: one plane of it, or all."""
    from sciup.io import open_image
    from sciup.io._array import open_array
    from sciup.io._select import SelectedImage

    source = order.source
    if source.kind == "file":
        image = open_image(source.path, **source.options)
    else:
        image = open_array(
            _array(source), **({"domain": _domain(order.model)} if order.model else {})
        )
    if source.pixel_size is not None and image.grid.size is None:
        unit = "arcsec" if image.domain == "night-sky" else "micrometer"
        size = (source.pixel_size, source.pixel_size)
        image.grid = replace(image.grid, size=size, unit=unit)
    picks = {axis: source.plane.get(axis, 0) for axis in image.axes[:-2]}
    return image if whole or not picks else SelectedImage(image, picks)


def _array(source: Source) -> Any:
    """An array that the viewer has written down; lazy."""
    if source.kind == "npy":
        return np.load(source.path, mmap_mode="r")
    if source.kind == "zarr":
        import zarr

        return zarr.open_array(source.path, mode="r")
    import cloudpickle

    return cloudpickle.loads(Path(source.path).read_bytes())


def _domain(model: str) -> Any:
    from sciup.generators.facts import read_recipe
    from sciup.resources import find_model

    return read_recipe(find_model(model))["domain"]


def result_of(order: Order, image: Any, *, roi: str | None = None) -> Any:
    """The lazy result of an order, with the usual maps."""
    from sciup import api

    stated: dict[str, Any] = dict(order.instrument)
    return api.upscale(
        image,
        model=order.model,
        samples=order.samples,
        seed=order.seed,
        tolerance=order.tolerance,
        device=order.device,
        roi=roi,
        **stated,
    )


def with_draws(result: Any, *, usual: bool = False) -> Any:
    """The result with all draws and the maps that the trust lens needs; on wish the usual ones."""
    settings = result.job.settings
    calibrated = result.job.calibrated
    maps = (*MAPS, *(RISKS if calibrated else ("risk_raw",)))
    if usual:
        maps = (*result.job.maps, "tolerance", "snr", *(("risk_mean",) if calibrated else ()))
    settings = replace(settings, maps=maps, keep=settings.samples + 1)
    return replace(result, job=replace(result.job, settings=settings))


def describe(number: int, result: Any, told: list[str]) -> Opened:
    """What the viewer needs to know of an opened order."""
    from sciup.engine.margins import CORE
    from sciup.risk.calibration import FILE
    from sciup.show import risk_words

    job = result.job
    found = job.calibrated
    return Opened(
        number=number,
        token=result.token,
        model=job.model.name,
        scale=job.model.scale,
        core=CORE,
        plane_shape=job.image.plane_shape,
        flux=_flux(result, job.model.scale),
        samples=job.settings.samples,
        instrument=_rows(result),
        warnings=tuple(dict.fromkeys(told)),
        calibrated=found is not None,
        words=risk_words(result),
        calibration=str(job.model.folder / FILE) if found is not None else None,
        tolerance=str(job.settings.tolerance),
    )


def _flux(result: Any, scale: int) -> int:
    """What values of the input are divided by to be those of an output."""
    return scale**2 if result.job.image.flux_per_pixel else 1


def _rows(result: Any) -> tuple[tuple[str, str, str, str, str], ...]:
    """What is believed about the instrument."""
    from sciup.show import UNITS

    return tuple(
        (name, value, UNITS.get(name, ""), origin, note)
        for name, value, origin, note in result.instrument.rows()
    )


def answer(message: Explore, progress: Callable[[int, int], None]) -> Explored:
    """What a search finds; what `progress` raises ends it."""
    from sciup.explorer.answers import POSSIBLE
    from sciup.explorer.run import explore

    order = message.order
    stated: dict[str, Any] = dict(order.instrument)
    with warnings_told() as told:
        found = explore(
            image_of(order),
            model=order.model,
            seed=order.seed,
            device=order.device,
            progress=progress,
            **stated,
            **message.question,
        )
    return Explored(
        number=message.number,
        region=found.regions[0],
        scale=found.scale,
        flux=_flux(found.result, found.scale),
        instrument=_rows(found.result),
        warnings=tuple(dict.fromkeys(told)),
        meaning=POSSIBLE,
    )


@contextmanager
def warnings_told() -> Iterator[list[str]]:
    """What sciup says meanwhile at the level of a warning."""
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler, logger = Listener(logging.WARNING), logging.getLogger("sciup")
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
