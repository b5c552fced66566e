"""A plate of 2 x 2 wells with 2 channels and 3 times, and what must come out of it."""

from pathlib import Path

import numpy as np

from sciup.testing.microscopy_files import write_group, write_ome_zarr
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

WELLS = ("A/1", "A/2", "B/1", "B/2")
FIELDS = [f"{well}/0" for well in WELLS]
NAMES, COLOURS = ("DAPI", "GFP"), ("0000FF", "00FF00")
SHAPE, SCALE = (40, 36), 2
TIME, PIXEL, ORIGIN = 5.0, 0.2, (3.0, 4.0)
ACQUISITIONS = [{"id": 7, "name": "first", "maximumfieldcount": 1}]
ROWS, COLUMNS = [{"name": "A"}, {"name": "B"}], [{"name": "1"}, {"name": "2"}]
LISTED = [
    {"path": f"{r}/{c}", "rowIndex": i, "columnIndex": j}
    for i, r in enumerate("AB")
    for j, c in enumerate("12")
]


def write_toy_plate(path: Path, *, dark: str = "") -> Path:
    """Write the plate; `dark` is a well without light, of which no result can be made."""
    for number, well in enumerate(WELLS):
        pixels = [[cells(SHAPE, seed=9 * number + 3 * c + t) for c in range(2)] for t in range(3)]
        write_ome_zarr(
            path / well / "0",
            np.stack(pixels).astype("f4") * (well != dark),
            "tcyx",
            scale=(TIME, 1, PIXEL, PIXEL),
            translation=(0, 0, *ORIGIN),
            channels=[{"label": n, "color": c} for n, c in zip(NAMES, COLOURS, strict=True)],
        )
        _tell_seconds(path / well / "0")
        images = [{"path": "0", "acquisition": 7}]
        write_group(path / well, {"well": {"images": images}})
    plate = {"name": "screen", "rows": ROWS, "columns": COLUMNS, "wells": LISTED}
    return write_group(path, {"plate": plate | {"acquisitions": ACQUISITIONS}})


def _tell_seconds(image: Path) -> None:
    """The time axis in seconds."""
    import json

    file = image / "zarr.json"
    document = json.loads(file.read_text())
    document["attributes"]["ome"]["multiscales"][0]["axes"][0]["unit"] = "second"
    file.write_text(json.dumps(document))


def write_models(folder: Path) -> None:
    """Two models, for a channel each."""
    for seed, name in enumerate(NAMES):
        write_toy_model(
            folder / name, domain="fluorescence", channels=4, head_channels=4, seed=seed
        )


def arguments(plate: Path, models: Path, out: Path) -> list[str]:
    """``sciup batch`` with a model and a PSF for each channel."""
    words = ["batch", plate, "--out", out, "--samples", 1, "--precision", "fp32"]
    words += ["--maps", "sample,mean", "--psf-fwhm", "DAPI=1.8", "--psf-fwhm", "2.6"]
    for name in NAMES:
        words += ["--model", f"{name}={models / name}"]
    return [str(word) for word in words]
