"""What all widgets of one viewer share: live view, search, measurements, the run that goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Layer
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import QObject, Signal

from sciup.errors import OptionError, SciupError
from sciup_napari.bar import Bar
from sciup_napari.layer_list import add
from sciup_napari.layer_source import plane_of, source_of
from sciup_napari.live import LiveView
from sciup_napari.looks import LIGHT
from sciup_napari.measure_messages import MadeBy
from sciup_napari.measuring import Measuring
from sciup_napari.messages import Order, Run
from sciup_napari.patience import step_by_step
from sciup_napari.place import camera_of, finer, to_world
from sciup_napari.reader import layers_of
from sciup_napari.runs import GO_ON, Running
from sciup_napari.search import Search

_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


class Session(QObject):
    """One viewer's live view, its search, its measurements and its run.

    Attributes
    ----------
    made_by : dict of str to MadeBy
        How the results of this session were made, by their path.
    moved : dict of str to str or None
        Where the inputs of results are now that were moved, by the path of the result.

    Signals
    -------
    stated (layer, table)
        A widget's table states something else of the instrument of a layer.
    progress (int, int)
        Of the run: windows done, and in all.
    ended (str)
        The run is over; one line about how.
    """

    stated = Signal(object, object)
    progress = Signal(int, int)
    ended = Signal(str)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.live = LiveView(viewer)
        self.search = Search(viewer)
        self.measuring = Measuring(viewer)
        self.made_by: dict[str, MadeBy] = {}
        self.moved: dict[str, str | None] = {}
        self.running: Running | None = None
        self._given: WeakKeyDictionary[Any, dict[str, float]] = WeakKeyDictionary()
        self._bar: Bar | None = None
        self._closed = False
        self._run_layer: Any = None
        self._output = ""
        self._folder = tempfile.TemporaryDirectory(
            prefix="sciup-napari-", ignore_cleanup_errors=True
        )
        self._threads = ThreadPoolExecutor(1, "sciup-run")
        self._count = 0

    def made(self, layer: Any) -> bool:
        """Whether a layer shows what sciup has made."""
        return "map" in layer.metadata.get("sciup", {})

    def given(self, layer: Any) -> dict[str, float]:
        """What is stated of the instrument of a layer, by option; sample data know theirs."""
        known = layer.metadata.get("sciup", {}).get("given", {})
        return self._given.setdefault(layer, dict(known))

    def temporary_output(self) -> str:
        """A place for a result that lives as long as the viewer."""
        self._count += 1
        return str(Path(self._folder.name) / f"region_{self._count}.ome.zarr")

    @property
    def busy(self) -> bool:
        """Whether a run goes on."""
        return self.running is not None and not self.running.over

    def run(self, layer: Any, order: dict[str, Any], output: str, **how: Any) -> None:
        """Make a result and open it when it is there; what goes wrong is told by `ended`.

        Raises
        ------
        OptionError
            If another run goes on.
        """
        if self.busy:
            raise OptionError("another run goes on", fix="wait for it or cancel it")
        plane, folder = plane_of(layer, self.viewer), Path(self._folder.name)
        whole = not how.get("plane_only", True)

        def prepare() -> Run:
            source = source_of(layer, plane, folder, whole=whole)
            return Run(0, Order(source, **order), output, **how)

        self._run_layer, self._output = layer, output
        bar = Bar(f"sciup: {Path(output).name.partition('.')[0]}")
        self._bar, self.running = bar, Running(prepare, self._threads, self)
        self.running.progress.connect(self._progressed)
        self.running.finished.connect(self._finished)
        self.running.failed.connect(self._failed)

    def cancel(self) -> None:
        """Stop the run; it can go on later."""
        if self.running is not None and self.busy:
            self.running.cancel()

    def close(self) -> None:
        """End everything: the viewer is closed."""
        _sessions.pop(self.viewer, None)  # the session holds the viewer
        self._closed = True
        self.live.close()
        self.search.close()
        self.measuring.close()
        if self.running is not None:
            self.running.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._folder.cleanup()

    def _progressed(self, done: int, total: int) -> None:
        self.progress.emit(done, total)
        if self._bar is not None:  # last, because events happen meanwhile, such as the end
            self._bar.at(done, total)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _finished(self, path: str) -> None:
        self._close_bar()
        run, source = self.running.run if self.running is not None else None, self._run_layer
        if run is not None:
            self.made_by[str(Path(path).absolute())] = MadeBy(run.order, not run.plane_only)
        placed = run is not None and run.order.source.kind == "file"
        try:
            found = layers_of(path)
        except (SciupError, OSError) as error:
            if not self._closed:  # meanwhile: then its folder is gone
                self._failed(str(error))
            return
        step_by_step(self._add(path, found, source, placed), self)

    def _add(self, path: str, found: list[Any], source: Any, placed: bool) -> Iterator[None]:
        """Show a result: in a turn of the event loop a layer is added, in the next one painted."""
        camera, layer = camera_of(self.viewer), None
        for data in found:
            if self._closed:
                return
            layer = Layer.create(*data)
            if source in self.viewer.layers:
                fit(layer, source, placed=placed)
            before, shown = (camera.center, camera.zoom), layer.visible
            layer.visible = False
            add(self.viewer, layer)
            camera.center, camera.zoom = before  # draws have a slider: napari shows all then
            yield
            if shown and not self._closed:
                layer.visible = True
                yield
        if self._closed:
            return
        if layer in self.viewer.layers:
            self.viewer.layers.selection.active = layer
        self.ended.emit(f"done: {path}")
        show_info(f"sciup: {path} is finished and shown")

    def _failed(self, text: str) -> None:
        self._close_bar()
        lost = Path(self._folder.name) in Path(self._output).parents
        cancelled = "cancelled" if lost else f"cancelled; run again and tick “{GO_ON}”"
        self.ended.emit("failed" if text else cancelled)
        if text:
            show_error(text)


def fit(layer: Any, source: Any, *, placed: bool) -> None:
    """Show a map of a result at the stretch of its source and, unless a file did, put it in place.

    An array knows nothing of where its layer lies in the world.
    """
    ours = layer.metadata.get("sciup", {})
    if "map" not in ours:
        return
    values = str(ours["provenance"].get("values", ""))
    flux = ours["scale"] ** 2 if values.startswith("flux") else 1
    if ours["map"] in LIGHT:
        layer.contrast_limits = [v / flux for v in source.contrast_limits]
        layer.gamma = source.gamma
    if not placed:
        layer.scale, layer.translate = np.ones(layer.ndim), np.zeros(layer.ndim)
        matrix = np.eye(layer.ndim + 1)
        matrix[-3:, -3:] = finer(to_world(source), ours["scale"], ours["region"][0])
        layer.affine = matrix
        layer.units = (*layer.units[:-2], *source.units[-2:])


def bare(viewer: Any) -> Any:
    """The viewer itself: napari hands to widgets a proxy, whose layers are proxies as well."""
    return getattr(viewer, "__wrapped__", viewer)


def session_of(viewer: Any) -> Session:
    """The session of a viewer, begun when it is first asked for."""
    viewer = bare(viewer)
    if viewer not in _sessions:
        session = Session(viewer)
        _sessions[viewer] = session
        window = getattr(getattr(viewer, "window", None), "_qt_window", None)
        if window is not None:
            window.destroyed.connect(session.close)
    return _sessions[viewer]
