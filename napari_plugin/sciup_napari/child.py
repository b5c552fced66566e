"""The process that computes for the viewer: ``python -m sciup_napari.child``.

It reads messages from its standard input and answers on its standard output. It ends when its
input ends, so it never outlives the viewer.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sciup_napari.messages import (
    QUICK,
    Core,
    Done,
    Failed,
    Made,
    Open,
    Opened,
    Order,
    Progress,
    Run,
    Source,
    Wish,
)
from sciup_napari.pipe import Pipe

MAPS = ("sample", "mean", "std", "support", "tolerance", "snr")
"""Maps of a window, calibrated or not."""

RISKS = ("risk", "risk_bound", "risk_invented", "risk_missed", "alarm", "ood")

FIRST_DRAWS = 3
"""Draws of the windows in the middle, before all draws of any window."""

POLITE = 5
"""Nice level: the viewer comes first when both want the processor."""

KEPT = 3
"""Orders that stay open: going back to the last layer costs nothing."""


class Windows(Protocol):
    """What makes windows: the engine, or a stored result."""

    @property
    def threads(self) -> int:
        """Windows that are made at a time."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in one of its threads."""

    def make(self, core: Core) -> dict[str, Any]:
        """All maps of a window, and ``draws``."""

    def quick(self, core: Core) -> dict[str, Any] | None:
        """A few draws of a window and their mean; None if all are as quick."""


@dataclass(frozen=True)
class Computed:
    """Windows that the engine computes."""

    worker: Any  # sciup.engine.job.Worker
    sampler: Any  # sciup.engine.block.PlaneSampler

    @property
    def threads(self) -> int:
        """As many as the engine has."""
        return int(self.worker.threads)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in the engine's threads."""
        future: Future[Any] = self.worker.submit(function, *arguments)
        return future

    def tile(self, core: Core) -> Any:
        """The window of a core."""
        from sciup.engine.margins import CORE
        from sciup.geometry import Box

        (tile,) = self.worker.tiles(Box(core, (core[0] + CORE, core[1] + CORE)))
        return tile

    def quick(self, core: Core) -> dict[str, Any]:
        """The first draws, and their mean."""
        found = self.sampler.maps(self.tile(core), range(FIRST_DRAWS))
        draws = np.stack([found[f"sample_{k}"] for k in range(FIRST_DRAWS)])
        return {QUICK: True, "draws": draws, "mean": draws.mean(0)}

    def make(self, core: Core) -> dict[str, Any]:
        """All maps of one window and its strangeness."""
        maps: dict[str, Any] = self.sampler.maps(self.tile(core))
        draws = [maps.pop(f"samples_{k}") for k in range(self.sampler.settings.samples + 1)]
        del maps["sample"]  # the first of the draws
        return maps | {"draws": np.stack(draws)}


class Child:
    """Answers messages; several threads compute, one at a time talks."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self._open: OrderedDict[str, Windows] = OrderedDict()
        self._wish: tuple[str, list[Core]] = ("", [])
        self._quick: list[Core] = []  # of the wish, to be made quickly first
        self._busy: set[tuple[str, Core, bool]] = set()  # under way: an answer will come
        self._changed = threading.Condition()
        self._orders: list[Open] = []
        for loop in (self._feed, self._opener):
            threading.Thread(target=loop, daemon=True).start()

    def serve(self) -> None:
        """Answer until the viewer is gone."""
        while True:
            try:
                message = self.pipe.receive()
            except EOFError:
                return
            if isinstance(message, Run):
                self._guarded(message.number, partial(self._run, message))
                return
            with self._changed:
                if isinstance(message, Open):
                    self._orders = [message]  # only the last one matters
                elif isinstance(message, Wish):
                    self._wish = (message.token, list(message.cores))
                    self._quick = list(message.quick)
                self._changed.notify_all()

    # -- windows -------------------------------------------------------------------------------

    def _opener(self) -> None:
        """Open the last order that was asked for."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._orders)
                message = self._orders.pop()
            self._guarded(message.number, partial(self._opened, message))

    def _opened(self, message: Open) -> None:
        if message.order.source.kind == "result":
            from sciup_napari.stored import Stored

            stored = Stored(message.order.source)
            facts = stored.describe(message.number)
            self._keep(facts.token, lambda: stored)
        else:
            with warnings_told() as told:
                result = with_draws(result_of(message.order, image_of(message.order)))
            facts = describe(message.number, result, told)
            self._keep(facts.token, partial(computed, result.job))
        self.pipe.send(facts)

    def _keep(self, token: str, make: Callable[[], Windows]) -> None:
        """Have something ready that makes these windows."""
        with self._changed:
            known = token in self._open
        windows = None if known else make()
        with self._changed:
            if windows is not None:
                self._open[token] = windows
            self._open.move_to_end(token)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)

    def _feed(self) -> None:
        """Hand wishes to the threads of the windows, as many at a time as there are threads."""
        while True:
            with self._changed:
                self._changed.wait_for(self._next)
                token = self._wish[0]
                windows = self._open[token]
                quick = bool(self._quick)
                core = (self._quick or self._wish[1]).pop(0)
                if (token, core, quick) in self._busy:
                    continue
                self._busy.add((token, core, quick))
            future = windows.submit(windows.quick if quick else windows.make, core)
            future.add_done_callback(partial(self._made, token, core, quick))

    def _next(self) -> bool:
        """Whether something is wanted that can be begun."""
        token, cores = self._wish
        windows = self._open.get(token)
        return bool(cores) and windows is not None and len(self._busy) < windows.threads

    def _made(self, token: str, core: Core, quick: bool, future: Future[Any]) -> None:
        with self._changed:
            self._busy.discard((token, core, quick))
            self._changed.notify_all()
        self._guarded(-1, lambda: self._send_window(token, core, future.result()))

    def _send_window(self, token: str, core: Core, maps: dict[str, Any] | None) -> None:
        if maps is not None:
            self.pipe.send(Made(token, core, maps))

    # -- whole results -------------------------------------------------------------------------

    def _run(self, message: Run) -> None:
        """Make a result; the process is this run's own, and ends with it."""
        from sciup.engine.connect import connect

        image = image_of(message.order, whole=not message.plane_only)
        result = result_of(message.order, image, roi=message.roi)
        result = with_draws(result, usual=True) if message.keep else result
        seen = [0.0]

        def progress(done: int, total: int) -> None:
            if done == total or done / max(total, 1) - seen[0] >= 0.002 or done <= 2:
                seen[0] = done / max(total, 1)
                self.pipe.send(Progress(message.number, done, total))

        who = {"workers": None, "scheduler": None, "cluster": None} | dict(message.machines)
        with connect(**who, device=message.order.device) as client:
            path = result.save(
                message.output,
                resume=message.resume,
                overwrite=message.overwrite,
                progress=progress,
                client=client,
            )
        self.pipe.send(Done(message.number, str(path)))

    def _guarded(self, number: int, action: Callable[[], None]) -> None:
        """Whatever goes wrong is told, not raised: the viewer goes on."""
        from sciup.errors import SciupError

        try:
            action()
        except SciupError as error:
            self._tell(Failed(number, str(error)))
        except Exception as error:  # noqa: BLE001
            self._tell(_unforeseen(number, error))

    def _tell(self, failed: Failed) -> None:
        try:
            self.pipe.send(failed)
        except OSError:  # the viewer is gone: nobody to tell
            os._exit(1)


def _unforeseen(number: int, error: Exception) -> Failed:
    text = f"{type(error).__name__}: {error}. This should not happen; please report it."
    return Failed(number, text, traceback.format_exc())


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


def computed(job: Any) -> Computed:
    """Load the network for a job."""
    from sciup.engine.job import Worker

    worker = Worker(job)
    return Computed(worker, worker.sampler(0, next(job.image.planes)))


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


def main() -> None:
    """Serve on standard input and output; what else is printed goes to standard error."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdin.close()
    pipe = Pipe(incoming, outgoing)
    if hasattr(os, "nice"):
        os.nice(POLITE)
    try:
        import torch  # noqa: F401 (seconds, spent before anybody waits)

        import sciup.api  # noqa: F401
    except ImportError as error:
        text = f"sciup cannot compute: {error}. To fix it: {sys.executable} -m pip install torch."
        pipe.send(Failed(-2, text))
        return
    Child(pipe).serve()
    os._exit(0)  # threads that still compute have nobody to compute for


if __name__ == "__main__":
    main()
