"""Where windows lie, how they are kept and put together, and what draws say. No viewer needed."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from napari.layers import Image, Labels

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.risk.score import tail
from sciup.risk.votes import sliding_mean, vote
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_model import write_toy_model
from sciup_napari.cache import Cache
from sciup_napari.layer_source import check, plane_of, source_of
from sciup_napari.mosaic import Frame
from sciup_napari.place import cores_in, finer, to_world
from sciup_napari.readout import COMMON_ALARM, Judge, Others, blend, chosen, summary

sizes = st.integers(1, 300)
scales = st.sampled_from((1, 2, 4))
numbers = st.floats(-50, 50, allow_nan=False)
steps = st.floats(0.05, 20)


@settings(max_examples=25)
@given(
    shape=st.tuples(st.integers(2, 40), st.integers(2, 40)),
    scale=scales,
    step=st.tuples(steps, steps),
    shift=st.tuples(numbers, numbers),
    angle=st.floats(-180, 180),
    shear=st.floats(-1, 1),
)
def test_the_outer_edges_of_the_finer_layer_are_those_of_the_source(
    shape, scale, step, shift, angle, shear
):
    source = Image(
        np.zeros(shape), scale=step, translate=shift, rotate=angle, shear=[shear],
        affine=[[0.5, 0.2, 3], [-0.1, 2, 1], [0, 0, 1]],
    )  # fmt: skip
    h, w = shape
    fine = Image(np.zeros((h * scale, w * scale)), affine=finer(to_world(source), scale))
    for y, x in ((0, 0), (0, w), (h, 0), (h, w)):
        coarse_edge = np.array(source.data_to_world((y - 0.5, x - 0.5)))
        fine_edge = np.array(fine.data_to_world((y * scale - 0.5, x * scale - 0.5)))
        assert np.abs(coarse_edge - fine_edge).max() < 1e-6


def test_a_part_begins_where_its_first_pixel_begins():
    source = Image(np.zeros((100, 100)), scale=(0.2, 0.3), translate=(5, 6))
    part = Image(np.zeros((8, 8)), affine=finer(to_world(source), 4, (10, 20)))
    assert np.allclose(part.data_to_world((-0.5, -0.5)), source.data_to_world((9.5, 19.5)))


def test_leading_axes_do_not_matter_and_level_0_of_a_pyramid_counts():
    stack = Image(np.zeros((5, 40, 40)), scale=(9, 0.5, 0.25), translate=(1, 2, 3))
    assert np.allclose(to_world(stack), [[0.5, 0, 2], [0, 0.25, 3], [0, 0, 1]])
    levels = [np.zeros((40, 40)), np.zeros((20, 20))]
    assert np.allclose(to_world(Image(levels, multiscale=True)), np.eye(3))


@example(a=(1, 1), b=(144, 278), core=16)
@given(a=st.tuples(sizes, sizes), b=st.tuples(sizes, sizes), core=st.sampled_from((16, 128)))
def test_cores_cover_the_box_once_nearest_first(a, b, core):
    box = Box((min(a[0], b[0]), min(a[1], b[1])), (max(a[0], b[0]) + 1, max(a[1], b[1]) + 1))
    cores = cores_in(box, core)
    seen = np.zeros((max(box.stop[0], 1) + core, max(box.stop[1], 1) + core), int)
    for y, x in cores:
        assert y % core == x % core == 0
        seen[y : y + core, x : x + core] += 1
    assert (seen[box.slices] == 1).all()
    middle = np.add(box.start, box.stop) / 2
    away = [np.hypot(*(np.add(c, core / 2) - middle)) for c in cores]
    assert (np.diff(away) > -1e-9).all()  # two ways to the same distance round differently


def test_nothing_on_the_screen_needs_no_windows():
    assert cores_in(Box((5, 5), (5, 9)), 16) == []


@given(
    start=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    size=st.tuples(sizes, sizes),
    scale=scales,
)
def test_a_mosaic_of_windows_is_the_image(start, size, scale):
    """Windows cut from a known image, put together again."""
    core, shape = 16, (80, 96)
    stop = tuple(min(a + n, m) for a, n, m in zip(start, size, shape, strict=True))
    frame = Frame(Box(start, stop), scale, core)
    truth = np.arange(np.prod(shape) * scale**2, dtype=np.float32).reshape(
        shape[0] * scale, shape[1] * scale
    )
    windows = []
    for y, x in cores_in(frame.box, core):
        window = np.full((core * scale, core * scale), np.nan, np.float32)
        part = truth[y * scale : (y + core) * scale, x * scale : (x + core) * scale]
        window[: part.shape[0], : part.shape[1]] = part
        windows.append(((y, x), {"mean": window, "draws": np.stack([window, -window])}))
    found = frame.fill(windows, lambda maps: maps["mean"])
    assert np.array_equal(found, truth[frame.box.scaled(scale).slices])
    assert np.array_equal(frame.draws(windows), np.stack([found, -found]))
    missing = frame.fill(windows[1:], lambda maps: maps["mean"])
    assert np.isnan(missing).any() == bool(windows)


def test_the_cache_keeps_its_budget_and_what_was_used_last():
    cache = Cache(budget=0.01)  # 10 kB
    window = {"mean": np.zeros(500, np.float32)}  # 2 kB
    for x in range(5):
        cache.put("a", (0, x), window)
    assert cache.get("a", (0, 0)) is not None  # used: the next to go is 1
    cache.put("a", (0, 5), window)
    assert cache.get("a", (0, 1)) is None
    assert cache.get("a", (0, 0)) is not None
    assert cache.megabytes == pytest.approx(0.01)
    cache.put("a", (0, 0), window)
    assert cache.megabytes == pytest.approx(0.01)
    assert cache.get("b", (0, 0)) is None
    cache.clear()
    assert cache.megabytes == 0


def test_one_window_larger_than_the_budget_is_still_shown():
    cache = Cache(budget=0.001)
    cache.put("a", (0, 0), {"mean": np.zeros(5000, np.float32)})
    assert cache.get("a", (0, 0)) is not None


# -- votes -------------------------------------------------------------------------------------


def draws_with_a_hole(seed=0, count=9, shape=(40, 30)):
    rng = np.random.default_rng(seed)
    draws = rng.normal(100, 5, (count, *shape)).astype(np.float32)
    draws[:, 5:9, 10:14] = np.nan
    return draws


@pytest.mark.parametrize("shown", [0, 3])
def test_votes_are_those_of_the_library(shown):
    draws = draws_with_a_hole()
    others = [d for k, d in enumerate(draws) if k != shown]
    limit = np.full(draws.shape[1:], 2.5)
    expected = vote(draws[shown], others, limit)
    found = Others.hear(draws, shown, limit)
    known = np.isfinite(draws[shown])
    assert np.allclose(((found.invented + found.missed + 0.5) / 9)[known], expected.risk[known])
    assert np.allclose(((found.invented + 0.25) / 9)[known], expected.invented[known])
    apart = np.stack([sliding_mean(draws[shown] - other) for other in others])
    assert np.allclose(found.mean[known], apart.mean(0)[known], atol=1e-4)
    assert np.allclose(found.std[known], apart.std(0, ddof=1)[known], atol=1e-4)


def test_without_a_calibration_votes_are_said_to_be_exploratory():
    draws = draws_with_a_hole()
    judge = Judge(None)
    flat = np.zeros(draws.shape[1:], np.float32)
    found = judge.risk(draws, 0, flat + 2.5, "3sigma", flat, flat)
    assert not found.certified
    assert np.isnan(found.bound).all()
    assert judge.certified == ()
    assert judge.alarm("3sigma") == COMMON_ALARM


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    folder = write_toy_model(tmp_path_factory.mktemp("model"), channels=4, head_channels=4)
    write_toy_calibration(folder, samples=8)
    return Judge(str(folder / "calibration.json"))


def test_with_a_calibration_risk_is_looked_up_by_score_and_stratum(judge):
    draws = draws_with_a_hole()
    flat = np.zeros(draws.shape[1:], np.float32)
    snr = np.where(np.arange(30) < 15, 0, 100).astype(np.float32) + flat
    found = judge.risk(draws, 2, flat + 2.5, "3sigma", snr, flat)
    tables = judge.promise("3sigma").tables()
    heard = Others.hear(draws, 2, flat + 2.5)
    above, below = tail(heard.mean, heard.std, 2.5, 8)
    level = judge.promise("3sigma").column(heard.invented + heard.missed, above + below)
    for y, x, stratum in ((0, 0, 0), (30, 20, 3)):
        assert found.risk[y, x] == pytest.approx(tables["risk"][stratum, level[y, x]])
        assert found.bound[y, x] == pytest.approx(tables["bound"][stratum, level[y, x]])
    assert found.certified
    assert np.isnan(found.risk[5:9, 10:14]).all()
    assert judge.certified == ("3sigma", "1sigma", "10%")
    assert judge.alarm("3sigma") == judge.promise("3sigma").alarm.threshold


def test_other_tolerances_are_exploratory_and_strange_fields_have_no_bound(judge):
    draws = draws_with_a_hole()
    flat = np.zeros(draws.shape[1:], np.float32)
    assert not judge.risk(draws, 0, flat + 2, "2.2sigma", flat, flat).certified
    strange = judge.risk(draws, 0, flat + 2, "3sigma", flat, flat + 1)
    assert strange.certified
    assert np.isnan(strange.bound).all()


@given(risk=st.floats(0, 1))
def test_a_blend_lies_between_mean_and_draw(risk):
    found = blend(np.full((2, 2), 7.0), np.full((2, 2), 3.0), np.full((2, 2), risk))
    assert found == pytest.approx(3 + 4 * (1 - risk))


def test_a_blend_shows_the_mean_where_nothing_is_known():
    assert blend(np.ones((1, 1)), np.zeros((1, 1)), np.full((1, 1), np.nan))[0, 0] == 0


def test_chosen_draws_are_told_apart():
    rng = np.random.default_rng(1)
    far = np.array([1, 0.1, 1.1, 3, 0.9])[:, None, None]
    found = chosen((rng.normal(size=(5, 20, 20)) * far).astype(np.float32))
    assert found == {"nearest": 1, "typical": found["typical"], "farthest": 3}
    assert found["typical"] in (0, 2, 4)
    assert set(chosen(np.ones((3, 4, 4), np.float32))) == {"nearest", "typical", "farthest"}


FACTS = {
    "risk": 0.2, "certified": True, "invented": 0.15, "missed": 0.05, "tolerance": "3 sigma",
    "bound": 0.25, "ood": 0.0,
}  # fmt: skip


def test_words_tell_certified_from_exploratory():
    assert "20 of 100" in summary(FACTS)
    assert "at most 25" in summary(FACTS)
    assert "invented" in summary(FACTS)
    assert "Exploratory" in summary(FACTS | {"certified": False})
    assert "Not certified: out of domain" in summary(FACTS | {"bound": np.nan, "ood": 1.0})
    assert summary(FACTS | {"risk": np.nan}) == "No risk is known here."
    assert "fewer than 1" in summary(FACTS | {"risk": 0.001})


# -- sources -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="x"), "RGB"),
        (Labels(np.zeros((8, 8), int), name="x"), "Labels"),
        (Image(np.zeros((2,) * 4 + (8, 8)), name="x"), "6 axes"),
        (Image(np.zeros((8, 8), bool), name="x"), "bool"),
    ],
)
def test_what_cannot_be_enhanced_is_refused_with_a_reason(layer, words):
    with pytest.raises(InputError, match=words):
        check(layer)


def test_an_array_is_written_down_once_and_one_plane_of_it(tmp_path):
    stack = np.arange(2 * 3 * 8 * 9, dtype=np.uint16).reshape(2, 3, 8, 9)
    source = source_of(Image(stack), (1, 2), tmp_path)
    assert source.kind == "npy"
    assert np.array_equal(np.load(source.path), stack[1, 2])
    assert source.pixel_size is None


def test_all_planes_are_written_where_all_are_wanted(tmp_path):
    stack = np.arange(3 * 8 * 9).reshape(3, 8, 9)
    source = source_of(Image(stack), (2,), tmp_path, whole=True)
    assert np.array_equal(np.load(source.path), stack)
    assert source.plane == {"z": 2}


def test_the_plane_is_that_of_the_layer_not_of_the_slider():
    """A slider counts steps of the smallest scale of all layers."""
    from types import SimpleNamespace

    layer = Image(np.zeros((5, 8, 8)), scale=(2, 1, 1), translate=(10, 0, 0))
    for point, index in ((10, 0), (12, 1), (13.9, 2), (18, 4), (99, 4), (-5, 0)):
        viewer = SimpleNamespace(dims=SimpleNamespace(point=(0.0, point, 3.0, 3.0)))
        assert plane_of(layer, viewer) == (index,)
    assert plane_of(Image(np.zeros((8, 8))), viewer) == ()


def test_what_was_derived_from_a_file_is_not_the_file(tmp_path):
    """napari's projections and copies carry the metadata of the layer that they were made of."""
    told = {"sciup": {"source": {"path": "a.fits", "options": {}, "axes": "z", "plane": {}}}}
    assert source_of(Image(np.zeros((8, 8)), metadata=told), (), tmp_path).kind == "npy"
    assert source_of(Image(np.zeros((3, 8, 8)), metadata=told), (1,), tmp_path).kind == "npy"


def test_only_the_last_planes_stay_on_the_disk(tmp_path):
    for k in range(6):
        last = source_of(Image(np.full((8, 8), k)), (), tmp_path).path
    assert len(list(tmp_path.iterdir())) <= 3
    assert np.load(last)[0, 0] == 5


def test_zarr_stays_where_it_is_and_dask_stays_lazy(tmp_path):
    import dask.array as da
    import zarr

    array = zarr.create_array(tmp_path / "a.zarr", shape=(4, 16, 16), dtype="u2", chunks=(1, 8, 8))
    source = source_of(Image(array, multiscale=False), (3,), tmp_path)
    assert (source.kind, source.plane) == ("zarr", {"z": 3})
    assert zarr.open_array(source.path).shape == (4, 16, 16)
    lazy = da.random.random((4, 16, 16), chunks=8)
    assert source_of(Image(lazy), (2,), tmp_path).kind == "dask"


def test_the_pixel_size_is_that_of_the_layer(tmp_path):
    layer = Image(np.zeros((8, 8)), scale=(0.2, 0.2), units=("um", "um"))
    assert source_of(layer, (), tmp_path).pixel_size == pytest.approx(0.2)
    layer = Image(np.zeros((8, 8)), scale=(200, 200), units=("nm", "nm"))
    assert source_of(layer, (), tmp_path).pixel_size == pytest.approx(0.2)


def test_the_calibration_of_a_result_is_the_one_it_was_made_with():
    from sciup.resources import find_model
    from sciup.risk.calibration import FILE, Calibration
    from sciup_napari.stored import calibration_of

    own = Calibration.read(find_model("fluorescence-x4") / FILE).digest
    facts = {"risk": {"calibrated": True}, "fingerprint": {"calibration": own}}
    facts |= {"model": "fluorescence-x4"}
    assert calibration_of(facts).endswith("calibration.json")
    assert calibration_of(facts | {"fingerprint": {"calibration": "other"}}) is None
    assert calibration_of(facts | {"model": "of-somebody-else"}) is None
