"""Draw the pictures of the napari tutorial: a real viewer, real models, sample data.

xvfb-run -a -s "-screen 0 1400x900x24" python docs/scripts/napari_screenshots.py docs/images

Behind the folder, names of tours: live, explore, measure, refuse, run; all unless given.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from sciup_napari.place import camera_of

SIZE = (1280, 800)


def wait(done: Callable[[], bool], limit: float = 180.0) -> None:
    """Let the viewer live until something is true."""
    end = time.monotonic() + limit
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("the viewer did not get there")
        QApplication.processEvents()
        time.sleep(0.005)


def rest(seconds: float = 1.0) -> None:
    """Let the viewer draw."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


class Studio:
    """A viewer with its widgets, and a camera."""

    def __init__(self, folder: Path, sample: str, truth: str) -> None:
        self.folder = folder
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*SIZE)
        self.viewer.open_sample("sciup", sample)
        self.dock, self.enhance = self.open("Enhance")
        self.lens_dock, self.lens = self.open("Trust lens")
        self.explore_dock, self.explore = self.open("Explore")
        self.measure_dock, self.measure = self.open("Measure")
        self.viewer.canvas.overlays.scale_bar.visible = True  # View > Scale Bar
        self.truth = next(x for x in self.viewer.layers if x.name.endswith(truth))
        self.source = next(x for x in self.viewer.layers if x is not self.truth)
        self.viewer.layers.selection.active = self.source
        for layer in (self.source, self.truth):
            layer.contrast_limits, layer.gamma = STRETCH
        self.dock.raise_()
        rest(4)

    def open(self, name: str) -> tuple[Any, Any]:
        """Open a widget as the menu does: dock and widget."""
        opened: tuple[Any, Any] = self.viewer.window.add_plugin_dock_widget("sciup", name)
        rest(0.2)
        return opened

    def look_at(self, y: float, x: float, zoom: float) -> None:
        """Centre and zoom by input pixels: canvas pixels per input pixel."""
        centre = self.source.data_to_world((y, x))
        camera_of(self.viewer).center = (0, *centre[-2:])
        camera_of(self.viewer).zoom = zoom / float(np.abs(self.source.scale[-1]))
        rest()

    def complete(self) -> bool:
        """Whether all windows of the screen are there."""
        image = self.enhance.live.image
        return image is not None and self.enhance.status.text().count("all draws") == 1

    def shoot(self, name: str, *, colourful: bool = False, told: bool = False) -> None:
        """Keep a picture of the window, with what was `told` just now if that is what it shows.

        With few colours it is a third as large.
        """
        rest()
        for notification in self.viewer.window._qt_window.findChildren(
            napari._qt.dialogs.qt_notification.NapariQtNotification
        ):
            if not told:
                notification.close()
        rest(0.5)
        shot = np.asarray(self.viewer.screenshot(canvas_only=False, flash=False))[..., :3]
        picture = Image.fromarray(shot)
        if not colourful:
            picture = picture.quantize(255, dither=Image.Dither.NONE)
        picture.save(self.folder / f"napari_{name}.png", optimize=True)

    def close(self) -> None:
        """End."""
        self.enhance.session.close()
        self.viewer.close()


PLACE = (100.0, 100.0, 6.0)
"""Centre in input pixels (y, x), and canvas pixels per input pixel."""

ASKED = (107.2, 133.3)
"""The pixel that the lens tells of: the arm of a galaxy."""

STRETCH = ((60, 3000), 0.6)
"""Contrast limits in electrons per pixel, and gamma: cores of galaxies and faint sources."""


def tour(folder: Path) -> None:
    """Live zoom, the lens, and a region as a result."""
    studio = Studio(folder, "hubble", "truth")
    studio.look_at(*PLACE)
    studio.shoot("1_input")
    studio.enhance.follow.setChecked(True)
    wait(studio.complete)
    lens = studio.lens
    lens.overlay.setCurrentText("nothing")
    studio.shoot("2_live")
    studio.lens_dock.raise_()
    lens.overlay.setCurrentText("risk")
    lens.ask(tuple(studio.source.data_to_world(ASKED)))
    studio.shoot("3_risk")
    lens.shows.button(2).click()
    lens.overlay.setCurrentText("nothing")
    lens.contour.setChecked(True)
    lens.swipe.setValue(50)
    studio.shoot("4_blend")
    beside_truth(studio)
    region(studio)
    studio.close()


def beside_truth(studio: Studio) -> None:
    """The enhanced image beside what Hubble saw."""
    lens = studio.lens
    lens.swipe.setValue(0)
    lens.contour.setChecked(False)
    lens.shows.button(0).click()
    studio.source.visible, studio.truth.visible = False, True
    lens.beside.setChecked(True)
    studio.shoot("5_truth")
    lens.beside.setChecked(False)
    studio.source.visible, studio.truth.visible = True, False


def region(studio: Studio, shot: str = "6_result") -> None:
    """A rectangle, run and opened."""
    studio.enhance.follow.setChecked(False)
    studio.dock.raise_()
    studio.enhance.run_region()  # offers an empty layer of shapes
    y, x, _ = PLACE
    shapes: Any = studio.viewer.layers["sciup region"]
    shapes.add_rectangles(np.array([(y - 40, x - 40), (y + 40, x + 40)]))
    studio.enhance.run_region()
    wait(lambda: studio.enhance.status.text().startswith("done"))
    rest(1)
    studio.enhance.live.clear()
    if shot:
        studio.shoot(shot)


GALAXY = (100.0, 105.0, 16.0)
"""Centre and zoom of what is explored."""


def explore(folder: Path) -> None:
    """Which flux is permitted, and how different images can be."""
    studio = Studio(folder, "hubble", "truth")
    y, x, zoom = GALAXY
    studio.look_at(y, x, zoom)
    dock = studio.explore
    studio.explore_dock.raise_()
    dock.way.setCurrentIndex(dock.way.findData("view"))
    dock.goal.setCurrentText("brightest")
    dock.radius.setValue(3)
    search(dock)
    studio.shoot("7_explore", colourful=True)
    dock.goal.setCurrentText("distinct")
    search(dock)
    dock.residual.setChecked(True)
    studio.shoot("8_residual", colourful=True)
    studio.close()


def search(dock: Any) -> None:
    """Search, and wait for all layers."""
    dock.begin.click()
    wait(lambda: not dock.search.busy, 600)
    rest(3)


MEASURED = (100.0, 100.0, 7.0)
"""Centre and zoom of what is measured."""


def measure(folder: Path) -> None:
    """A region as a result, with what is measured and found in it."""
    studio = Studio(folder, "hubble", "truth")
    y, x, zoom = MEASURED
    studio.look_at(y, x, zoom)
    studio.viewer.layers.selection.active = studio.source
    region(studio, shot="")
    studio.viewer.layers.remove("sciup region")
    studio.look_at(y, x, zoom)
    for layer in studio.viewer.layers:
        layer.visible = layer.name.startswith("Sample 0")
    dock = studio.measure
    studio.measure_dock.raise_()
    dock.new.click()
    shapes = dock.regions.currentData()
    corners = np.array([(-5, -5), (-5, 5), (5, 5), (5, -5)])
    for at in SOURCES:
        shapes.add_ellipses(np.array(at) + corners)
    wait(lambda: dock.measuring.rows and all(r.fresh for r in dock.measuring.rows))
    dock.detect.click()
    wait(lambda: not dock.measuring.detecting, 600)
    dock.least.setValue(50)
    dock.measured.setCurrentCell(0, 0)
    shapes.mode = "select"
    studio.shoot("9_measure")
    studio.close()


SOURCES = ((99.7, 104.7), (88.5, 120.7), (109.9, 127.4))
"""Centres of what is measured, input pixels."""


def refuse(folder: Path) -> None:
    """An image that cannot be enhanced."""
    from skimage.data import hubble_deep_field

    studio = Studio(folder, "hubble", "truth")
    studio.viewer.add_image(hubble_deep_field(), name="Hubble, a picture")
    studio.viewer.reset_view()
    studio.enhance.preview.click()
    studio.shoot("10_refused", told=True)
    studio.close()


def run(folder: Path) -> None:
    """A whole image on its way."""
    studio = Studio(folder, "hubble", "truth")
    studio.look_at(*PLACE)
    enhance = studio.enhance
    with TemporaryDirectory() as made:
        enhance._run(f"{made}/hubble_2x.ome.zarr")
        studio.viewer.window._qt_window.statusBar()._toggle_activity_dock(True)
        wait(lambda: re.match("run: [1-9]", enhance.status.text()) is not None)
        studio.shoot("11_running")
        enhance.cancel.click()
        wait(lambda: not enhance.session.busy)
    studio.close()


TOURS = {"live": tour, "explore": explore, "measure": measure, "refuse": refuse, "run": run}


def main() -> None:
    """Draw all, or the tours that are named."""
    folder, *names = sys.argv[1:] or ["docs/images"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names or TOURS:
        TOURS[name](Path(folder))


if __name__ == "__main__":
    main()
