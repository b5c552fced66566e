"""What an order means to the library; in the child process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sciup_napari.messages import Opened, Order, Source

MAPS = ("sample", "mean", "std", "support", "tolerance", "snr")
"""Maps of a window, calibrated or not."""

RISKS = ("risk", "risk_bound", "risk_invented", "risk_missed", "alarm", "ood")


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
    maps = (*MAPS, *(RISKS if result.job.calibrated else ("risk_raw",)))
    if usual:
        maps = (*result.job.maps, "tolerance", "snr")
    settings = replace(settings, maps=maps, keep=settings.samples + 1)
    return replace(result, job=replace(result.job, settings=settings))


def describe(number: int, result: Any, told: list[str]) -> Opened:
    """What the viewer needs to know of an opened order."""
    from sciup.engine.margins import CORE
    from sciup.risk.calibration import FILE
    from sciup.show import UNITS, risk_words

    job = result.job
    found = job.calibrated
    rows = (
        (name, value, UNITS.get(name, ""), origin, note)
        for name, value, origin, note in result.instrument.rows()
    )
    return Opened(
        number=number,
        token=result.token,
        model=job.model.name,
        scale=job.model.scale,
        core=CORE,
        plane_shape=job.image.plane_shape,
        flux=job.model.scale**2 if job.image.flux_per_pixel else 1,
        samples=job.settings.samples,
        instrument=tuple(rows),
        warnings=tuple(dict.fromkeys(told)),
        calibrated=found is not None,
        words=risk_words(result),
        calibration=str(job.model.folder / FILE) if found is not None else None,
        tolerance=str(job.settings.tolerance),
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
