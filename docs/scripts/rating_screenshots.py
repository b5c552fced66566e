"""Screenshots of the blind rating for `docs/how-to/blind-rating.md`, from a real window.

Usage: ``xvfb-run -a -s "-screen 0 1280x800x24" python docs/scripts/rating_screenshots.py``
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import tifffile
from PIL import Image
from qtpy.QtWidgets import QApplication
from skimage import data, transform

from sciup_napari.rating.widget import BlindRating

IMAGES = Path(__file__).parents[1] / "images"
SIZE = (1280, 800)
SIDE, SCALE = 256, 4


def study(folder: Path) -> None:
    """Fields of the Hubble Deep Field, made coarse and noisy, by three simple methods."""
    rng = np.random.default_rng(0)
    sky = data.hubble_deep_field().astype(np.float32).mean(-1)
    for number, (y, x) in enumerate(rng.integers(0, min(sky.shape) - SIDE, (6, 2))):
        truth = sky[y : y + SIDE, x : x + SIDE]
        coarse = truth.reshape(SIDE // SCALE, SCALE, SIDE // SCALE, SCALE).mean((1, 3))
        coarse = coarse + rng.normal(0, 3, coarse.shape)
        made = {
            "truth": truth,
            "bicubic": transform.resize(coarse, truth.shape, order=3),
            "nearest": coarse.repeat(SCALE, 0).repeat(SCALE, 1),
        }
        for method, values in made.items():
            (folder / method).mkdir(exist_ok=True)
            tifffile.imwrite(folder / method / f"field_{number}.tif", values.astype(np.float32))


def wait(until: Callable[[], object], seconds: float = 20.0) -> None:
    """Let the window work until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.01)


def shoot(name: str) -> None:
    """Keep what is on the screen, in few colours, as a small file."""
    wait(lambda: False, 1.0)
    path = IMAGES / f"rating_{name}.png"
    screen = QApplication.primaryScreen()
    screen.grabWindow(0, 0, 0, *SIZE).save(str(path))
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(80, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def main() -> None:
    """Both tasks, each at its second trial."""
    viewer = napari.Viewer()
    rating = BlindRating(viewer)
    viewer.window.add_dock_widget(rating, name="Blind rating", area="right")
    rating.window().setGeometry(0, 0, *SIZE)

    def shown() -> bool:
        return rating.session is not None and rating.session.page.message.text() == ""

    with tempfile.TemporaryDirectory() as folder:
        study(Path(folder))
        for task, given in (("scores", "3"), ("choice", "left")):
            rating.setup.folder.setText(folder)
            rating.setup.rater.setText(f"Ann {task}")
            rating.setup.tasks[task].setChecked(True)
            rating.start()
            wait(shown)
            wait(lambda: False, 1.0)  # answers at once are not taken
            rating.session.answer(given)
            wait(shown)
            shoot(task)
            rating.session.finish()
            rating._turn(rating.setup)
            rating.session = None
    viewer.close()


if __name__ == "__main__":
    main()
