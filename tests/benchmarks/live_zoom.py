"""How long a user waits for the live view, and whether the viewer ever hangs.

Run on an idle machine with a display (or under xvfb-run):

    xvfb-run -a -s "-screen 0 1600x1000x24" python tests/benchmarks/live_zoom.py

It makes a lazy Zarr of 20,000 x 20,000 pixels, opens it through the plugin's reader, switches live
zoom on, and pans over it with a canvas of 1000 x 700. Times are from the movement of the camera to
the layer's new pixels, or to their being painted; a heartbeat of the event loop tells how long it
was blocked. The second column is napari alone, in a process of its own: the same file as a plain
layer, and two plain layers of the size of the canvas that get other pixels after each movement.
What the second column says cannot be undercut by a plugin.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
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


class Painted:
    """When the canvas was painted last."""

    def __init__(self, viewer) -> None:
        self.at = 0.0
        canvas = viewer.window._qt_viewer.canvas._scene_canvas
        canvas.events.draw.connect(self._drawn, position="last")

    def _drawn(self, _) -> None:
        self.at = time.perf_counter()

    def after(self, began: float, changed) -> float:
        """Seconds from `began` until what has been `changed` since is on the canvas."""
        wait(changed)
        there = time.perf_counter()
        wait(lambda: self.at > there, 2.0)
        return self.at - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=20000)
    parser.add_argument("--pans", type=int, default=9)
    parser.add_argument("--model", default="fluorescence-x4")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plain", type=Path, help="measure napari alone on this mosaic")
    asked = parser.parse_args()
    if asked.plain:
        sys.stdout.write(json.dumps(plain(asked.plain, asked.pans)))
        return
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "mosaic.ome.zarr"
        write_mosaic(path, asked.side)
        command = [sys.executable, __file__, "--plain", str(path), "--pans", str(asked.pans)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        floor = json.loads(told.splitlines()[-1])
        found = measure(path, asked.model, asked.pans)
    for name, value in found.items():
        alone = f"{floor[name]:10.3f}" if name in floor else ""
        sys.stdout.write(f"{name:45s} {value:10.3f} {alone}\n")
    if asked.json:
        asked.json.write_text(json.dumps({"sciup": found, "napari alone": floor}, indent=1))


OPEN, LAYERS = "blocked while opening [ms]", "blocked while the first layers come [ms]"
AGAIN, AGAIN_PAINTED = "revisit, median [s]", "revisit to painted, median [s]"
BLOCKED, WORST = "blocked while panning, median of worst [ms]", "blocked while panning, worst [ms]"


def new_viewer() -> napari.Viewer:
    """A viewer of the right size, after it has come to rest."""
    viewer = napari.Viewer()
    viewer.window.resize(CANVAS[0] + 660, CANVAS[1] + 50)
    wait(lambda: False, 2.0)
    return viewer


def plain(path: Path, pans: int) -> dict[str, float]:
    """What napari alone takes."""
    from qtpy.QtWidgets import QWidget

    viewer, heart = new_viewer(), Heart()
    group = zarr.open_group(str(path), mode="r")
    levels = [group[str(k)] for k in range(3)]
    layer = viewer.add_image(
        levels, multiscale=True, scale=(0.1, 0.1), units=("um", "um"), contrast_limits=(0, 300)
    )
    beside = QWidget()
    beside.setMinimumWidth(300)
    viewer.window.add_dock_widget(beside)
    wait(lambda: False, 2.0)
    out = {OPEN: heart.worst()}
    camera, painted = camera_of(viewer), Painted(viewer)
    camera.zoom, camera.center = 4 / float(layer.scale[-1]), (0, 30, 30)
    wait(lambda: False, 0.5)
    heart.worst()
    height, width = CANVAS[1] + 64, CANVAS[0] + 64
    values = np.random.default_rng(0).random((2, height, width), np.float32)
    layers, worst = [], []
    for k in range(2):
        options = {"scale": (0.025, 0.025), "contrast_limits": (0, 1), "opacity": 0.5}
        layers.append(viewer.add_image(values[k], units=("um", "um"), **options))
        wait(lambda: False, 1.0)
        worst.append(heart.worst())
    out[LAYERS] = max(worst)
    rng = np.random.default_rng(1)
    again, blocked, changed = [], [], []
    for k in range(pans):
        began = time.perf_counter()
        target = rng.uniform(0.05, 0.12, 2) * path_side(layer)
        camera.center = (0, *target)
        for one in layers:
            one.translate = target - np.array((height, width)) * 0.0125
            one.data = values[k % 2]
        changed.append(time.perf_counter() - began)
        again.append(painted.after(began, lambda: True))
        wait(lambda: False, 0.5)
        blocked.append(heart.worst())
    out |= {AGAIN: statistics.median(changed), AGAIN_PAINTED: statistics.median(again)}
    out |= {BLOCKED: statistics.median(blocked), WORST: max(blocked)}
    viewer.close()
    return out


def measure(path: Path, model: str, pans: int) -> dict[str, float]:
    """All times, in s; blocks of the event loop in ms."""
    viewer, heart = new_viewer(), Heart()
    (layer,) = viewer.open(str(path), plugin="sciup")
    wait(lambda: False, 2.0)
    out = {OPEN: heart.worst()}
    _, enhance = viewer.window.add_plugin_dock_widget("sciup", "Enhance")
    live, camera, painted = enhance.live, camera_of(viewer), Painted(viewer)
    names = [enhance.model_box.itemText(i) for i in range(enhance.model_box.count())]
    enhance.model_box.setCurrentIndex(names.index(model))
    wait(lambda: False, 8.0)  # the user looks around; the child loads its libraries
    out["blocked while the widget opens [ms]"] = heart.worst()
    camera.zoom = 4 / float(layer.scale[-1])
    camera.center = (0, 300 * 0.1, 300 * 0.1)
    wait(lambda: False, 0.5)
    heart.worst()
    state = {"fresh": False}
    live.drawn.connect(lambda: state.update(fresh=True))

    def fresh() -> bool:
        return state["fresh"] and bool(live.windows())

    def complete() -> bool:
        return live.frame is not None and live.image is not None and all_there(live)

    def move(target) -> float:
        state["fresh"] = False
        camera.center = (0, *target)
        return time.perf_counter()

    enhance.follow.setChecked(True)
    out["first pixels of the preview [s]"] = wait(fresh)
    out["all draws of the preview [s]"] = wait(complete)
    wait(lambda: False, 0.5)
    out[LAYERS] = heart.worst()
    rng = np.random.default_rng(1)
    first, every, again, shown, blocked = [], [], [], [], []
    for _ in range(pans):
        wait(lambda: False, 0.3)
        heart.worst()
        target = rng.uniform(0.05, 0.12, 2) * path_side(layer)
        began = move(target)
        wait(fresh)
        first.append(time.perf_counter() - began)
        wait(complete)
        every.append(time.perf_counter() - began)
        blocked.append(heart.worst())
        move(target + 60 * 0.1)
        wait(complete)
        wait(lambda: False, 0.5)
        began = move(target)
        wait(fresh)
        again.append(time.perf_counter() - began)
        shown.append(painted.after(began, fresh))
        wait(lambda: False, 0.5)
        blocked.append(heart.worst())
    out["pan: first pixels, median [s]"] = statistics.median(first)
    out["pan: all draws, median [s]"] = statistics.median(every)
    out["pan: all draws, worst [s]"] = max(every)
    out |= {AGAIN: statistics.median(again), AGAIN_PAINTED: statistics.median(shown)}
    out |= {BLOCKED: statistics.median(blocked), WORST: max(blocked)}
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
