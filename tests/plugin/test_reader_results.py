"""Results of sciup in napari: a ready group of layers, exactly on the image they were made of."""

import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import sciup
from sciup.testing import fits_files as made
from sciup.testing.microscopy_files import write_ome_zarr
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model
from sciup_napari.looks import LIGHT, LOOKS
from sciup_napari.reader import get_reader
from sciup_napari.result_words import verdict_of

PIXEL = 0.2 / 3600
SHAPE = (70, 90)
ALL = (
    "sample", "mean", "std", "risk", "risk_bound", "ood", "risk_invented", "risk_missed", "alarm",
    "lower", "upper", "support",
)  # fmt: skip
SKY = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 10.0,
    "CRPIX2": 12.0, "CD1_1": -PIXEL, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1.1 * PIXEL,
}  # fmt: skip


@functools.cache
def folder():
    return Path(tempfile.mkdtemp())


@functools.cache
def model(scale, domain="night-sky", calibrated=False, strange=False):
    path = folder() / f"m{scale}{domain}{calibrated}{strange}"
    write_toy_model(path, scale=scale, domain=domain, channels=4, head_channels=4, name="toy")
    if calibrated:
        write_toy_calibration(path, samples=4, strange=strange)
    return path


def upscale(source, out, scale=2, *, domain="night-sky", calibrated=False, strange=False, **more):
    options = {"samples": 4, "psf_fwhm": 2.4, "device": "cpu", "precision": "fp32"}
    chosen = model(scale, domain, calibrated, strange)
    return sciup.upscale(source, model=chosen, **options | more).save(out, overwrite=True)


def field(unit="adu", wcs="sky"):
    return _field(unit, wcs)


@functools.cache
def _field(unit, wcs):
    path = folder() / f"{unit.replace('/', '')}-{wcs}.fits"
    cards = {"sky": SKY, "none": {}, "pc": made.rotated_cdelt()}.get(wcs, SKY)
    if wcs == "sip":
        cards = SKY | made.SIP_CARDS | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    fits.PrimaryHDU(star_field(SHAPE, stars=20), fits.Header({"BUNIT": unit} | cards)).writeto(path)
    return path


def micrograph(axes="yx"):
    return _micrograph(axes)


@functools.cache
def _micrograph(axes):
    path = folder() / f"{axes}.ome.zarr"
    array = np.broadcast_to(cells(SHAPE), (2,) * (len(axes) - 2) + SHAPE).copy()
    channels = [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]
    many = len(axes) - 2
    return write_ome_zarr(
        path, array, axes, channels=channels if "c" in axes else (),
        scale=(*(0.5,) * many, 0.2, 0.25), translation=(*(3.0,) * many, 10.0, 20.0),
    )  # fmt: skip


@functools.cache
def calibrated(suffix):
    return upscale(
        field(), folder() / f"calibrated{suffix}", calibrated=True, maps=ALL, keep_samples=2
    )


def opened(path):
    """Layers by the name of their map, from the bottom to the top."""
    out = {}
    for data, keywords, kind in get_reader(str(path))(str(path)):
        about = keywords["metadata"]["sciup"]
        name = about.get("map", about["role"])
        out.setdefault(name, (data[0] if keywords["multiscale"] else data, keywords, kind))
    return out


def corners(shape, keywords):
    """World coordinates of the outer corners of the first and the last pixel, y and x."""
    scale, translate = (np.array(keywords[k][-2:]) for k in ("scale", "translate"))
    first, last = np.array([-0.5, -0.5]), np.array(shape[-2:]) - 0.5
    return np.array([translate + first * scale, translate + last * scale])


def inside(keywords, region):
    """World coordinates of the corners of a region of the input."""
    scale, translate = (np.array(keywords[k][-2:]) for k in ("scale", "translate"))
    return translate + (np.array(region, float) - 0.5) * scale


CASES = [(source, scale, "13:40,7:61") for source in ("sky", "micro") for scale in (1, 2, 4)]
CASES += [(source, 2, "13:40,7:61") for source in ("none", "pc", "sip")]
CASES += [("sky", 2, None), ("micro", 4, None)]
each_suffix = pytest.mark.parametrize("suffix", [".fits", ".ome.zarr"])


@each_suffix
@pytest.mark.parametrize(("source", "scale", "roi"), CASES)
def test_the_maps_lie_exactly_on_the_input(tmp_path, source, scale, roi, suffix):
    micro = source == "micro"
    path = micrograph() if micro else field(wcs=source)
    domain = "fluorescence" if micro else "night-sky"
    result = upscale(path, tmp_path / f"r{suffix}", scale, roi=roi, domain=domain, keep_samples=1)
    ((_, given, _),) = get_reader(str(path))(str(path))  # opened on its own
    region = ((13, 7), (40, 61)) if roi else ((0, 0), SHAPE)
    layers = opened(result)
    assert layers["input"][1]["translate"] == given["translate"]
    assert layers["input"][1]["scale"] == given["scale"]
    for name in ("sample", "mean", "std", "risk_raw", "support", "samples"):
        data, keywords, _ = layers[name]
        assert data.shape[-2:] == tuple(scale * (b - a) for a, b in zip(*region, strict=True))
        np.testing.assert_allclose(
            corners(data.shape, keywords), inside(given, region), rtol=0, atol=1e-6
        )
        assert keywords["units"][-2:] == given["units"][-2:]


@each_suffix
@pytest.mark.parametrize("source", ["sky", "none", "micro"])
def test_without_the_input_they_lie_where_they_would_with_it(tmp_path, source, suffix):
    micro = source == "micro"
    path = micrograph() if micro else field(wcs=source)
    copy = tmp_path / "in" / path.name
    (shutil.copytree if micro else shutil.copy)(path, copy.parent.mkdir() or copy)
    domain = "fluorescence" if micro else "night-sky"
    result = upscale(copy, tmp_path / f"r{suffix}", roi="13:40,7:61", domain=domain)
    there = opened(result)["mean"][1]
    shutil.rmtree(copy.parent)
    layers = opened(result)
    assert "input" not in layers
    assert "not there" in layers["mean"][1]["metadata"]["sciup"]["notes"][0]
    for key in ("scale", "translate"):
        np.testing.assert_allclose(layers["mean"][1][key], there[key], rtol=0, atol=1e-6)


def test_the_input_is_found_beside_the_result(tmp_path):
    shutil.copy(field(), tmp_path / "in.fits")
    result = upscale(tmp_path / "in.fits", tmp_path / "r.fits")
    moved = shutil.move(tmp_path, tmp_path.with_name(tmp_path.name + "-moved"))
    assert "input" in opened(Path(moved) / result.name)


@each_suffix
def test_looks_order_and_values(suffix):
    path = calibrated(suffix)
    layers = opened(path)
    order = [name for name in LOOKS if name in layers]
    assert list(layers) == order
    assert set(layers) == {*ALL, "samples", "input"}
    assert [n for n, (_, k, _) in layers.items() if k["visible"]] == ["sample", "risk"]
    assert {n for n, (_, _, kind) in layers.items() if kind == "labels"} == {"alarm", "ood"}
    for name, (_, keywords, _) in layers.items():
        if name.startswith("risk") or name == "support":
            assert keywords["contrast_limits"] == (0.0, 1.0)
    sample, kept = (np.asarray(layers[n][0]) for n in ("sample", "samples"))
    assert kept.shape == (2, *sample.shape)
    assert np.array_equal(kept[0], sample, equal_nan=True)
    assert layers["samples"][1]["axis_labels"][0] == "sample"
    if suffix == ".fits":
        with fits.open(path) as hdus:
            for name in ("sample", "risk", "std"):
                assert np.array_equal(np.asarray(layers[name][0]), hdus[name].data, equal_nan=True)
            alarm = np.nan_to_num(hdus["ALARM"].data) > 0.5
            assert np.array_equal(np.asarray(layers["alarm"][0]), alarm)


@pytest.mark.parametrize(("unit", "factor"), [("adu", 4), ("MJy/sr", 1)])
def test_input_sample_and_mean_share_their_stretch(tmp_path, unit, factor):
    """The same brightness looks the same: a flux per pixel is shared by the finer pixels."""
    layers = opened(upscale(field(unit), tmp_path / "r.fits", keep_samples=1))
    limits = {n: layers[n][1]["contrast_limits"] for n in LIGHT if n in layers}
    assert limits["sample"] == limits["mean"] == limits["samples"]
    np.testing.assert_allclose(limits["input"], np.multiply(limits["mean"], factor))


@each_suffix
def test_provenance_is_in_the_metadata(suffix):
    path = calibrated(suffix)
    about = opened(path)["risk"][1]["metadata"]["sciup"]
    assert about["path"] == str(path)
    assert about["model"] == "toy"
    assert about["scale"] == 2
    assert about["calibrated"]
    assert "3 sigma" in about["tolerance"]
    assert "calibrated" in about["verdict"]
    assert about["provenance"]["fingerprint"]["shape"] == list(SHAPE)


@each_suffix
def test_sky_coordinates_of_the_maps(suffix):
    layers = opened(calibrated(suffix))
    coarse, fine = (layers[n][1]["metadata"]["wcs"] for n in ("input", "mean"))
    np.testing.assert_allclose(
        fine.all_pix2world(2 * 10 + 0.5, 2 * 20 + 0.5, 0), coarse.all_pix2world(10, 20, 0),
        rtol=1e-12,
    )  # fmt: skip


def test_a_result_that_promises_nothing_says_so(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("napari.utils.notifications.show_warning", told.append)
    layers = opened(upscale(field(), tmp_path / "raw.fits"))
    assert layers["risk_raw"][1]["name"] == "Vote (not calibrated) · raw"
    assert "not calibrated" in told[0]
    strange = upscale(field(), tmp_path / "odd.fits", calibrated=True, strange=True)
    layers = opened(strange)
    assert layers["risk"][1]["name"] == "Risk (out of domain) · odd"
    assert "promises" in told[1]
    assert layers["risk"][1]["metadata"]["sciup"]["out_of_domain"]
    told.clear()
    opened(calibrated(".fits"))
    assert not told


def test_verdicts():
    good = {"risk": {"calibrated": True}, "domain": [{"outside": False, "p": 0.5}]}
    assert verdict_of(good).fine
    assert not verdict_of({"risk": {"calibrated": True}, "domain": [{"outside": True}]}).fine
    assert "could not" in verdict_of({"risk": {"calibrated": True}, "domain": []}).words
    assert not verdict_of({}).fine


def test_channels_depth_and_kept_samples(tmp_path, make_napari_viewer):
    result = upscale(
        micrograph(axes="czyx"), tmp_path / "r.ome.zarr", domain="fluorescence", keep_samples=2,
        roi="0:32,8:40",
    )  # fmt: skip
    viewer = make_napari_viewer(show=True)
    layers = viewer.open(result, plugin="sciup")
    names = [layer.name for layer in layers]
    assert "Sample 0 · r · DAPI" in names
    assert "Sample 0 · r · GFP" in names
    assert {layer.ndim for layer in layers} == {3, 4}
    assert sum(layer.visible for layer in layers) == 2
    sample, kept = (viewer.layers[f"{n} · r · GFP"] for n in ("Sample 0", "All kept samples"))
    assert np.array_equal(np.asarray(kept.data[0]), np.asarray(sample.data), equal_nan=True)
    assert tuple(kept.scale) == (1.0, 0.5, 0.1, 0.125)
    assert viewer.screenshot(canvas_only=True, flash=False)[..., :3].std() > 5


def test_one_channel_of_several_finds_its_input(tmp_path):
    source = sciup.open_image(micrograph(axes="czyx"), channel="GFP", z=1)
    result = upscale(source, tmp_path / "r.ome.zarr", domain="fluorescence", roi="0:32,8:40")
    layers = opened(result)
    about = layers["input"][1]["metadata"]["sciup"]["source"]
    assert about["options"] == {"channel": 1, "z": 1}
    assert layers["input"][0].shape == (1, *SHAPE)


def test_the_extension_that_was_used_is_found(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for i in range(3):
        header = fits.Header(SKY | {"CRPIX1": 10.0 - 100 * i, "BUNIT": "adu"})
        image = fits.ImageHDU(star_field(SHAPE, seed=i, stars=20), header, name="SCI", ver=i + 1)
        hdus.append(image)
    fits.HDUList(hdus).writeto(tmp_path / "in.fits")
    source = sciup.open_image(tmp_path / "in.fits", hdu=3)
    result = upscale(source, tmp_path / "r.fits", roi="5:40,10:60")
    layers = opened(result)
    assert layers["input"][1]["metadata"]["sciup"]["source"]["options"] == {"hdu": 3}
    third = get_reader(str(tmp_path / "in.fits"))(str(tmp_path / "in.fits"))[2][1]
    assert third["translate"] == layers["input"][1]["translate"]
    np.testing.assert_allclose(
        corners(layers["mean"][0].shape, layers["mean"][1]),
        inside(third, ((5, 10), (40, 60))), rtol=0, atol=1e-6,
    )  # fmt: skip


def test_an_input_that_has_changed_is_told(tmp_path):
    shutil.copy(field(), tmp_path / "in.fits")
    result = upscale(tmp_path / "in.fits", tmp_path / "r.fits")
    with fits.open(tmp_path / "in.fits", mode="update") as hdus:
        hdus[0].header["HISTORY"] = "touched"
        hdus[0].data = hdus[0].data + 1
    (notes,) = [opened(result)["input"][1]["metadata"]["sciup"]["notes"]]
    assert "again" in notes[0] or "changed" in notes[0]
    fits.PrimaryHDU(np.zeros((5, 5), "f4")).writeto(tmp_path / "in.fits", overwrite=True)
    assert "input" not in opened(result)


def test_napari_shows_the_group(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.open(calibrated(".ome.zarr"), plugin="sciup")
    assert viewer.layers["Alarm · calibrated"].contour == 2
    assert not viewer.layers["Alarm · calibrated"].editable
    for layer in viewer.layers:
        layer.visible = True
    assert viewer.screenshot(canvas_only=True, flash=False)[..., :3].std() > 5
    risk = viewer.layers["Risk · calibrated"]
    assert risk.colormap.map(np.array([0.0]))[0, 3] == 0
    assert risk.colormap.map(np.array([0.9]))[0, 3] > 0.8


def test_readers_need_no_torch():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sciup_napari.reader import get_reader\n"
        f"for p in ({str(calibrated('.fits'))!r}, {str(calibrated('.ome.zarr'))!r}):\n"
        "    print(len(get_reader(p)(p)))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.stdout.split() == ["14", "14"], told.stderr
