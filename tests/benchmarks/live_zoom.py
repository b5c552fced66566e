"""How long a user waits for the live view, and whether the viewer ever hangs.

Run on an idle machine with a display (or under xvfb-run):

    xvfb-run -a -s "-screen 0 1600x1000x24" python tests/benchmarks/live_zoom.py

It makes a lazy Zarr of 20,000 x 20,000 pixels, opens it through the plugin's reader, switches live
zoom on, and pans over it with a canvas of 1000 x 700. Times are from the movement of the camera to
the layer's new pixels; a heartbeat of the event loop tells how long it was blocked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
import zarr
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from sciup.testing.toy_images import cells
from sciup_napari.place import camera_of

CANVAS = (1000, 700)


class Heart:
    """The longest time between two beats of the event loop."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(10)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def worst(self) -> float:
        """Since the last call, ms."""
        found, self.gaps = self.gaps, []
        return 1000 * max(found, default=0.0)


def write_mosaic(path: Path, side: int) -> None:
    """A micrograph of side x side, the same cells again and again; not compressed, to be quick."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    sets = []
    block = cells((1000, 1000)).clip(0).astype("u2")
    for level, step in enumerate((1, 4, 16)):
        n = side // step
        array = group.create_array(
            str(level), shape=(n, n), dtype="u2", chunks=(500, 500), compressors=None
        )
        scale = [{"type": "scale", "scale": [0.1 * step] * 2}]
        sets.append({"path": str(level), "coordinateTransformations": scale})
        tile = np.tile(block[::step, ::step], (step, step))[:1000, :1000]
        for y in range(0, n, 1000):
            for x in range(0, n, 1000):
                h, w = min(1000, n - y), min(1000, n - x)
                array[y : y + h, x : x + w] = tile[:h, :w]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": sets}]}


def wait(condition, limit: float = 60.0) -> float:
    """Seconds until something is true."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > limit:
            return float("nan")
        QApplication.processEvents()
        time.sleep(0.004)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20000)
    parser.add_argument("--pans", type=int, default=9)
    parser.add_argument("--model", default="fluorescence-x4")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "mosaic.ome.zarr"
        write_mosaic(path, asked.side)
        found = measure(path, asked.model, asked.pans)
    for name, value in found.items():
        sys.stdout.write(f"{name:45s} {value:10.3f}\n")
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


def measure(path: Path, model: str, pans: int) -> dict[str, float]:
    """All times, in s; blocks of the event loop in ms."""
    viewer = napari.Viewer()
    viewer.window.resize(CANVAS[0] + 660, CANVAS[1] + 50)
    heart = Heart()
    (layer,) = viewer.open(str(path), plugin="sciup")
    _, enhance = viewer.window.add_plugin_dock_widget("sciup", "Enhance")
    live, camera = enhance.live, camera_of(viewer)
    names = [enhance.model_box.itemText(i) for i in range(enhance.model_box.count())]
    enhance.model_box.setCurrentIndex(names.index(model))
    wait(lambda: False, 8.0)  # the user looks around; the child loads its libraries
    camera.zoom = 4 / float(layer.scale[-1])
    camera.center = (0, 300 * 0.1, 300 * 0.1)
    wait(lambda: False, 0.5)
    state = {"fresh": False}
    live.drawn.connect(lambda: state.update(fresh=True))
    out: dict[str, float] = {"blocked while opening [ms]": heart.worst()}

    def complete() -> bool:
        frame = live.frame
        return frame is not None and live.image is not None and all_there(live)

    enhance.follow.setChecked(True)
    out["first pixels of the preview [s]"] = wait(lambda: state["fresh"])
    out["all draws of the preview [s]"] = wait(complete)
    out["blocked while previewing [ms]"] = heart.worst()
    rng = np.random.default_rng(1)
    first, every, again, blocked = [], [], [], []
    for _ in range(pans):
        wait(lambda: False, 0.3)
        state["fresh"] = False
        heart.worst()
        target = rng.uniform(0.05, 0.12, 2) * path_side(layer)
        began = time.perf_counter()
        camera.center = (0, *target)
        wait(lambda: state["fresh"] and bool(live.windows()))
        first.append(time.perf_counter() - began)
        wait(complete)
        every.append(time.perf_counter() - began)
        blocked.append(heart.worst())
        home = camera.center
        camera.center = (0, *(np.array(target) + 60 * 0.1))
        wait(complete)
        wait(lambda: False, 0.3)
        state["fresh"] = False
        began = time.perf_counter()
        camera.center = home
        wait(lambda: state["fresh"])
        again.append(time.perf_counter() - began)
    out["pan: first pixels, median [s]"] = statistics.median(first)
    out["pan: all draws, median [s]"] = statistics.median(every)
    out["pan: all draws, worst [s]"] = max(every)
    out["revisit from memory, median [s]"] = statistics.median(again)
    out["blocked while panning, median of worst [ms]"] = statistics.median(blocked)
    out["blocked while panning, worst [ms]"] = max(blocked)
    enhance.session.close()
    viewer.close()
    return out


def path_side(layer) -> float:
    """Side of the image in the world."""
    return float(layer.data[0].shape[-1] * layer.scale[-1])


def all_there(live) -> bool:
    """Whether every window of the screen has come."""
    return all(map(live.has, live.wanted()))


if __name__ == "__main__":
    main()
