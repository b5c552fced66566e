"""Which code keeps the viewer's event loop from going on, and for how long.

    xvfb-run -a -s "-screen 0 1700x1000x24" python tests/benchmarks/event_loop.py

It does what a user does with a lazy Zarr of 20,000 x 20,000 pixels: opens it, the four docks, live
zoom, pans, a contour, a region as a result, and that result as a file. A heartbeat of 5 ms tells
how long the event loop stood still. A signal every 3 ms, whose handler looks at the stack, tells
in whose code: in that of the innermost function of sciup (`ours`, with what it imports and calls
of numpy, dask, zarr), or of napari and vispy. `cpu` is what the viewer's thread computed meanwhile;
the rest it waited for a processor. On a busy machine only that can be compared.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer

from sciup_napari.place import camera_of

BEAT, LOOK = 5, 0.003
DOCKS = ("Enhance", "Trust lens", "Explore", "Measure")


class Watch:
    """Gaps between heartbeats, and who was at work in them."""

    def __init__(self) -> None:
        self.gaps: list[tuple[float, float, float, float]] = []
        self.looks: list[tuple[float, float, str]] = []
        self._last, self._cpu = time.perf_counter(), time.thread_time()
        self._looked = self._last
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT)
        # not from a thread: to let go of a frame there may end objects of Qt in it
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)

    def _beat(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.gaps.append((now - self._last, cpu - self._cpu, self._last, now))
        self._last, self._cpu = now, cpu

    def _look(self, _: int, frame: Any) -> None:
        """The time since the last look is that of the function that goes on now."""
        now = time.perf_counter()
        self.looks.append((now, now - self._looked, whose(frame)))
        self._looked = now

    def told(self) -> str:
        """Since the last call: the longest gap, the most that was computed in one, and by whom."""
        gaps, self.gaps = self.gaps, []
        looks, self.looks = self.looks, []
        wall, _, began, ended = max(gaps)
        found: Counter[str] = Counter()
        for at, took, who in looks:
            if began <= at <= ended:
                found[who] += round(1000 * took)
        long = sum(gap[0] > 0.1 for gap in gaps)
        cpu = 1000 * max(gap[1] for gap in gaps)
        ours = found.total() - found["napari"] - found["Qt"]
        by = ", ".join(f"{who} {ms}" for who, ms in found.most_common(3))
        return f"{1000 * wall:6.0f} {cpu:6.0f} {ours:6d} {long:5d}   {by if wall > 0.1 else ''}"


def whose(frame: Any) -> str:
    """The innermost function of sciup, or napari; what it calls of other packages is its own."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("sciup"):
            return f"{name.rpartition('.')[2]}.{frame.f_code.co_name}"
        if name.startswith(("napari", "vispy")):
            return "napari"
        frame = frame.f_back
    return "Qt"


def steps(viewer: Any, path: Path) -> Iterator[str]:
    """What a user does, step by step."""
    from live_zoom import all_there, wait  # the script beside this one

    (layer,) = viewer.open(str(path), plugin="sciup")
    yield "the file opens"
    docks = {}
    for name in DOCKS:
        _, docks[name] = viewer.window.add_plugin_dock_widget("sciup", name, tabify=bool(docks))
        yield f"{name} opens"
    enhance, camera = docks["Enhance"], camera_of(viewer)
    live, ended = enhance.live, []
    names = [enhance.model_box.itemText(i) for i in range(enhance.model_box.count())]
    enhance.model_box.setCurrentIndex(names.index("fluorescence-x4"))
    wait(lambda: False, 6)  # the child loads its libraries
    camera.zoom, camera.center = 4 / float(layer.scale[-1]), (0, 30, 30)
    yield "zoom"
    enhance.follow.setChecked(True)
    wait(lambda: live.image is not None and all_there(live), 120)
    yield "first live layers"
    for y, x in np.random.default_rng(1).uniform(100, 200, (3, 2)):
        camera.center = (0, y, x)
        wait(lambda: False, 0.1)
        wait(lambda: all_there(live), 60)
    yield "three pans"
    docks["Trust lens"].contour.setChecked(True)
    yield "contour"
    enhance.follow.setChecked(False)
    enhance.run_region()
    yield "a layer for a region"
    viewer.layers["sciup region"].add_rectangles(np.array([(200, 200), (300, 300)]))
    enhance.session.ended.connect(ended.append)
    enhance.run_region()
    wait(lambda: bool(ended), 200)
    yield "a region is run and opened"
    live.clear()
    yield "the live layers go"
    viewer.open(ended[0].removeprefix("done: "), plugin="sciup")
    yield "the region is opened again"
    enhance.session.close()


def main() -> None:
    from live_zoom import new_viewer, wait, write_mosaic

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20000)
    parser.add_argument("--mosaic", type=Path, help="one that is there already")
    asked = parser.parse_args()
    sys.stdout.write(f"{'':28s} worst    cpu   ours  >100   by whom, in ms\n")
    with tempfile.TemporaryDirectory() as place:
        path = asked.mosaic or Path(place) / "mosaic.ome.zarr"
        if not path.exists():
            write_mosaic(path, asked.side)
        viewer = new_viewer()
        watch = Watch()
        for name in steps(viewer, path):
            wait(lambda: False, 1.5)
            sys.stdout.write(f"{name:28s} {watch.told()}\n")
            sys.stdout.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)
        viewer.close()


if __name__ == "__main__":
    main()
