"""Sample data: made without a download, seamless, and aligned with their truth."""

import time

import numpy as np
import pytest

from sciup_napari.sample_data import cell, hubble, mosaic, mosaic_levels, sky_block, two_channels


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refused(*_args, **_keywords):
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.socket.connect", refused)


@pytest.mark.parametrize(("make", "unit"), [(hubble, "arcsec"), (cell, "micrometer")])
def test_truth_lies_on_the_image(make, unit):
    (truth, below, _), (seen, top, _) = make()
    scale = truth.shape[0] // seen.shape[0]
    assert scale in (2, 4)
    for n, edge in ((0, -0.5), (1, None)):
        for (data, k), axis in (((truth, below), n), ((seen, top), n)):
            first = k["translate"][axis] - k["scale"][axis] / 2
            assert edge is None or first == pytest.approx(-top["scale"][axis] / 2)
            assert first + data.shape[axis] * k["scale"][axis] == pytest.approx(
                (seen.shape[axis] - 0.5) * top["scale"][axis]
            )
    coarse = truth.reshape(seen.shape[0], scale, seen.shape[1], scale).mean((1, 3))
    assert np.corrcoef(coarse.ravel(), seen.ravel())[0, 1] > 0.7
    assert top["units"] == (unit, unit)
    assert top["contrast_limits"] == below["contrast_limits"]
    assert not below["visible"]
    given = top["metadata"]["sciup"]["given"]
    assert set(given) == {"gain", "read_noise", "psf_fwhm"}
    assert (top["metadata"]["wcs"] is not None) == (unit == "arcsec")


def test_the_same_every_time():
    for make in (hubble, cell, two_channels):
        for (a, _, _), (b, _, _) in zip(make(), make(), strict=True):
            assert np.array_equal(a, b)


def test_the_mosaic_costs_nothing_until_it_is_shown():
    start = time.perf_counter()
    ((levels, keywords, _),) = mosaic()
    assert time.perf_counter() - start < 1
    assert levels[0].shape == (20_000, 20_000)
    start = time.perf_counter()
    window = np.asarray(levels[0][9_000:9_700, 12_000:13_000])
    assert time.perf_counter() - start < 2
    assert np.isfinite(window).all()
    low, high = keywords["contrast_limits"]
    assert low < np.median(window) < high


def test_blocks_have_no_seams():
    """Sources go on across the edges of blocks: without noise the parts are the whole."""
    import sciup_napari.sample_data as made

    noise = made.NOISE
    made.NOISE = 0.0
    try:
        whole = sky_block(0, 0, (512, 512), side=2048)
        parts = np.block(
            [[sky_block(y, x, (256, 256), side=2048) for x in (0, 256)] for y in (0, 256)]
        )
        coarse = sky_block(0, 0, (128, 128), side=2048, step=4)
    finally:
        made.NOISE = noise
    np.testing.assert_allclose(parts, whole, rtol=1e-5)
    assert whole.max() > 150
    # every level shows the same sky at the same place
    means = whole.reshape(128, 4, 128, 4).mean((1, 3))
    np.testing.assert_allclose(coarse, means, rtol=0.02, atol=0.02 * np.ptp(means))


def test_levels_of_the_mosaic_do_not_depend_on_how_they_are_read():
    levels = mosaic_levels(1500)
    whole = np.asarray(levels[0])
    assert np.array_equal(np.asarray(levels[0][400:700, 900:1200]), whole[400:700, 900:1200])
    assert [level.shape[0] for level in levels] == [1500, 750, 375, 188, 94, 47]
    assert np.asarray(levels[5]).shape == (47, 47)


@pytest.mark.parametrize("key", ["hubble", "cell", "channels", "mosaic"])
def test_napari_opens_each(make_napari_viewer, key):
    viewer = make_napari_viewer(show=True)
    viewer.open_sample("sciup", key)
    assert len(viewer.layers)
    assert viewer.screenshot(canvas_only=True, flash=False)[..., :3].std() > 5
