"""P(exists) is calibrated on fields of known truth: fitted, kept, checked on the other half."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

import sciup
from sciup.calibrate.candidates import Pairs, compare, pairs_of
from sciup.calibrate.existence import fitted, flux_errors, make, place_errors
from sciup.calibrate.fields import KnownField, Source
from sciup.calibrate.gathering import Gathering
from sciup.calibrate.observe import observe
from sciup.cli import main
from sciup.errors import InputError
from sciup.evaluate.metrics import block_mean
from sciup.existence import Existence
from sciup.generators.facts import ModelFacts
from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.physics.instrument import Fact, Instrument
from sciup.results.draws import Draws
from sciup.results.level import Level
from sciup.risk.stored import Key
from sciup.testing.toy_images import cells, star
from sciup.testing.toy_model import write_toy_model

K = 16


def instrument():
    none = Fact(None, "assumed", "")
    given = {"psf_fwhm": 2.5, "noise_sigma": 1.0, "background": 0.0, "electrons_per_unit": 1e9}
    made = {n: Fact(v, "given", "") for n, v in given.items()}
    return Instrument(**dict.fromkeys(Instrument.__dataclass_fields__, none) | made)


def job(*, sky=True):
    model = SimpleNamespace(scale=2, target_fwhm=2.0)
    return SimpleNamespace(
        instruments=[instrument()], model=model, image=SimpleNamespace(flux_per_pixel=sky)
    )


def known(seed, honesty):
    """A field of places with a star each, more often in the draws than in the truth."""
    rng = np.random.default_rng(seed)
    places = np.argwhere(np.ones((5, 5))) * 16 + 16.0
    chance = rng.choice([0.05, 0.5, 0.9], len(places))
    images = np.zeros((K + 2, 96, 96))
    for i in range(len(images)):
        p = chance * (honesty if i == 0 else 1)
        for y, x in places[rng.uniform(size=len(places)) < p] + rng.normal(0, 0.2, 2):
            images[i] += 100 * star((96, 96), y, x, 2.0)
    one = KnownField(SimpleNamespace(job=job()), images[0], 0.0, {"unit": f"unit {seed}"})
    return one, SimpleNamespace(draws=images[1:], level=np.zeros((96, 96)))


def steady(seed):
    """A field of stars that truth and draws have alike, with fluxes of the same scatter."""
    rng = np.random.default_rng(seed)
    places = np.argwhere(np.ones((5, 5))) * 16 + 16.0
    images = np.zeros((K + 2, 96, 96))
    for i in range(len(images)):
        for y, x in places + rng.normal(0, 0.2, places.shape):
            images[i] += rng.normal(100, 5) * star((96, 96), y, x, 2.0)
    return KnownField(SimpleNamespace(job=job()), images[0], 0.0, {"unit": f"{seed}"}), images[1:]


@pytest.fixture(scope="module")
def pairs():
    return Pairs.join(
        [compare(one, "point", 5.0, seen) for one, seen in (known(i, 0.6) for i in range(40))]
    )


def test_draws_that_claim_too_much_are_corrected(pairs):
    """Of what the draws are sure of, 60 % of 90 % exist."""
    assert len(pairs) > 500
    sure, rare = pairs.p > 0.8, pairs.p < 0.2
    assert pairs.exists[sure].mean() < 0.65 < pairs.p[sure].mean()
    curve, (raw, calibrated, errors) = fitted(pairs, "point", 5.0, K)
    assert curve(0.9) == pytest.approx(0.54, abs=0.06)
    assert curve(0.05) == pytest.approx(0.03, abs=0.03)
    assert (pairs.snr[sure] > 5).all()
    assert pairs.snr[rare].mean() < 5
    assert (curve.units, curve.candidates) == (40, len(pairs))
    # on the half that a curve had not seen, what it says is true within the interval
    for row in calibrated.rows:
        if row["candidates"] > 60:
            assert row["ci_low"] - 0.05 < row["mean_P"] < row["ci_high"] + 0.05
    assert any(r["mean_P"] > r["ci_high"] + 0.1 for r in raw.rows if r["candidates"] > 60)
    assert sum(r["candidates"] for r in calibrated.rows) == len(pairs)
    assert json.loads(json.dumps(curve.reliability, allow_nan=False))
    assert sum(c.candidates for c in curve.fluxes) <= len(pairs)
    assert len(errors.rows) == len(curve.fluxes) + len(curve.places)


def test_intervals_of_honest_draws_cover():
    found = Pairs.join(
        [compare(one, "point", 5.0, seen) for one, seen in (known(i, 1.0) for i in range(25))]
    )
    share, error = found.covered[:, 0].mean(), np.sqrt(0.68 * 0.32 / len(found))
    # of a flux that is there or not, the ends of an interval are often the flux itself
    assert share > 0.68 - 2 * error
    assert np.isnan(found.covered[:, 1]).all()  # 17 draws are too few for 95 %


def test_a_wrong_belief_in_the_sky_is_an_error_of_the_draws():
    """The truth knows its own sky: what detect would then report lies beside it."""
    fields = [steady(i) for i in range(20)]
    right, wrong = (
        Pairs.join(
            [compare(one, "point", 5.0, SimpleNamespace(draws=d, level=sky)) for one, d in fields]
        )
        for sky in (0.0, 0.6)
    )
    assert right.covered[:, 0].mean() == pytest.approx(0.68, abs=0.06)
    assert wrong.covered[:, 0].mean() < 0.1
    # a sky that is .6 too high takes .6 from every pixel of the disc of radius 3
    missing = (wrong.score - right.score).mean()
    assert missing == pytest.approx(0.6 * np.pi * 3.5**2 / 5, rel=0.25)
    (mended,) = flux_errors(wrong)
    assert mended.ends[0][0] > 1  # intervals of which all lie above the mean of the draws
    assert mended.covered == pytest.approx((0.68, 0.95), abs=0.06)


def test_what_exists_is_counted_above_the_true_sky():
    """A sky that is believed too high hides stars in the draws, not in the truth."""
    one, draws = steady(0)
    high = compare(one, "point", 5.0, SimpleNamespace(draws=draws, level=8.0))
    assert high.p.mean() < 0.7
    assert high.exists.all()


@pytest.mark.parametrize("kind", ["spot", "nucleus", "filament"])
def test_the_level_of_a_micrograph_has_no_say(kind):
    """Only light above its surroundings counts, so no pedestal can be wrong."""
    images = np.stack([cells((160, 160), seed=i % 2).astype(float) for i in range(K + 2)])
    images += np.random.default_rng(0).normal(0, 1, images.shape)
    images[:, 70:74, 20:140] += 40
    spots = sum(star((160, 160), y, 30, 2.0) for y in (40, 110, 130))
    images += np.arange(300, 300 + 10 * len(images), 10)[:, None, None] * spots
    field = SimpleNamespace(job=job(sky=False))
    one = KnownField(field, images[0], 0.0, {"unit": "a"})
    first, other = (
        compare(one, kind, 5.0, SimpleNamespace(draws=images[1:], level=level))
        for level in (0.0, 37.0)
    )
    assert len(first)
    for name in Pairs.names():
        a, b = getattr(first, name), getattr(other, name)
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=name)


def test_a_run_with_a_wrong_sky(tmp_path):
    """Through the engine: the level is that of detect, and what it takes from a flux is seen."""
    toy = write_toy_model(tmp_path / "toy", scale=2, channels=4, head_channels=4)
    rng = np.random.default_rng(3)
    places = np.argwhere(np.ones((4, 4))) * 24 + 24.0
    truth = sum(400 * star((128, 128), y, x, 2.0) for y, x in places)
    field = block_mean(gaussian_filter(truth, 1.8), 2) * 4 + rng.normal(0, 1, (64, 64))
    image = open_array(field.astype(np.float32), flux_per_pixel=True, domain="night-sky")
    scores = {}
    for sky in (0.0, 1.0):
        told = {"psf_fwhm": 2.5, "background": sky, "noise_sigma": 1.0, "gain": 30.0}
        result = sciup.upscale(image, model=toy, samples=K, device="cpu", precision="fp32", **told)
        seen, draws = observe(result, K + 1), Draws.of_result(result)
        level = Level(draws, ()).window(Box.of_shape(draws.plane_shape))
        np.testing.assert_allclose(seen.level, np.broadcast_to(level, (128, 128)), atol=1e-5)
        one = KnownField(result, truth, 0.0, {"unit": "a"})
        scores[sky] = np.median(compare(one, "point", 5.0, seen).score)
    assert scores[1.0] > scores[0.0] + 1


def test_narrow_intervals_and_wandering_places_are_mended():
    """Spreads that are half of the errors get intervals twice as wide, in every class of S/N."""
    rng = np.random.default_rng(2)
    n = 4000
    snr, unit = rng.uniform(2, 40, n), np.array([f"{i % 40}" for i in range(n)])
    score = rng.normal(0.5, 2.0, n)
    exists = rng.uniform(size=n) < 0.7
    away = np.where(exists, 2 * np.hypot(*rng.normal(0, 1, (2, n))), np.nan)
    inside = np.stack([np.abs(score) < 1, np.full(n, np.nan)], -1)
    pairs = Pairs(np.full(n, "point"), unit, snr / 40, exists, snr, inside, score, away)
    for errors, expected in (
        (flux_errors(pairs), [(0.5 - 1.99, 0.5 + 1.99), (0.5 - 3.92, 0.5 + 3.92)]),
        (place_errors(pairs), [(0.0, 3.02), (0.0, 4.9)]),
    ):
        assert [(e.low, e.high) for e in errors] == [(None, 5), (5, 10), (10, 20), (20, None)]
        for e in errors:
            np.testing.assert_allclose(e.ends, expected, atol=0.45)
            np.testing.assert_allclose(e.covered, (0.68, 0.95), atol=0.06)
            assert e.plain[0] < 0.45
            assert e.plain[1] is None
    few = pairs.take(np.arange(n) < 78)
    assert flux_errors(few) == ()


def test_candidates_at_edges_do_not_count():
    one, seen = known(0, 1.0)
    near = compare(one, "point", 5.0, seen)
    assert len(near) == len(compare(one, "point", 5.0, seen))
    moved = SimpleNamespace(draws=np.roll(seen.draws, -14, axis=1), level=seen.level)
    assert len(compare(one, "point", 5.0, moved)) < len(near)


KEY = Key("0" * 64, {"blur": 1.0}, 1)
ONE = SimpleNamespace(labels={"field": "one", "condition": "1:200"})


def test_nothing_to_calibrate_on(tmp_path):
    class Nowhere(Source):
        def fields(self, *_, **__):
            return iter(())

    model = SimpleNamespace(domain="night-sky", key=KEY, scale=2)

    with pytest.raises(InputError, match=r"0 candidates of kind 'point'.*check DATA"):
        make(Gathering(Nowhere(model, None, samples=4), tmp_path), 5.0)


@pytest.mark.parametrize(
    "change",
    [{"key": replace(KEY, beliefs=2)}, {"split": "test"}, {"every": 2}, {"seed": 1},
     {"precision": "bf16"}, {"samples": 8}, {"limit": 4.0}, {"data": Path("elsewhere")},
     {"scenes": Path("pack")}],
)  # fmt: skip
def test_candidates_of_another_run_are_not_used(tmp_path, monkeypatch, change):
    plain = {"key": KEY, "domain": "fluorescence", "scale": 1}
    calls = []
    monkeypatch.setattr(Source, "fields", lambda *_, **__: iter([ONE]))
    none = lambda field, **_: calls.append(field) or Pairs.join([])  # noqa: E731
    monkeypatch.setattr("sciup.calibrate.candidates.compared", none)
    for more, expected in (({}, 1), ({}, 1), (change, 2)):
        model = SimpleNamespace(**{k: more.get(k, v) for k, v in plain.items()})
        known = {k: v for k, v in more.items() if k not in (*plain, "split", "limit")}
        source = Source(model, **{"samples": 4, "data": None} | known)
        gathering = Gathering(source, tmp_path, more.get("split", "calibrate"))
        pairs_of(gathering, "1:200", more.get("limit", 5.0))
        assert len(calls) == expected


def test_candidates_of_an_earlier_comparison_are_not_used(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(Source, "fields", lambda *_, **__: iter([ONE]))
    none = lambda field, **_: calls.append(field) or Pairs.join([])  # noqa: E731
    monkeypatch.setattr("sciup.calibrate.candidates.compared", none)
    source = Source(SimpleNamespace(key=KEY, domain="fluorescence", scale=1), None, samples=4)
    for version in (2, 2, 3):
        monkeypatch.setattr("sciup.calibrate.candidates.VERSION", version)
        pairs_of(Gathering(source, tmp_path), "1:200", 5.0)
    assert len(calls) == 2


def test_candidates_of_other_files_are_not_used(tmp_path):
    model = SimpleNamespace(key=KEY, domain="fluorescence", scale=1)
    (tmp_path / "a.tif").write_bytes(b"12")
    source = Source(model, tmp_path)
    before = source.digest()
    assert source.digest() == before
    (tmp_path / "b.tif").write_bytes(b"3")
    assert source.digest() != before


@pytest.mark.parametrize("size", [1000, 5_000_000])
def test_a_copy_of_the_files_is_the_same_data(tmp_path, size):
    """Wherever it lies and whenever it was made; with another byte, or name, it is not."""
    model = SimpleNamespace(key=KEY, domain="fluorescence", scale=1)
    digests = []
    for turn, (place, name, last) in enumerate(
        [("one", "a.tif", 1), ("two", "a.tif", 1), ("three", "a.tif", 2), ("four", "b.tif", 1)]
    ):
        folder = tmp_path / place / "data"
        folder.mkdir(parents=True)
        file = folder / name
        file.write_bytes(np.arange(size, dtype=np.uint8)[:-1].tobytes() + bytes([last]))
        os.utime(file, (turn, turn))
        digests.append(Source(model, folder).digest())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_large_file_that_changed_in_the_middle_is_other_data(tmp_path):
    model = SimpleNamespace(key=KEY, domain="fluorescence", scale=1)
    values, digests = np.zeros(8_000_000, np.uint8), set()
    for start in (0, 3_000_000, 5_000_000):  # 100 kB: what lies between two pieces is less
        values[start : start + 100_000 * (start > 0)] = 1
        (tmp_path / "a.tif").write_bytes(values.tobytes())
        digests.add(Source(model, tmp_path).digest())
    assert len(digests) == 3


def test_candidates_of_a_program_that_draws_otherwise_are_not_used(tmp_path, monkeypatch):
    source = Source(SimpleNamespace(key=None), tmp_path)
    before = source.digest()
    monkeypatch.setattr("sciup.calibrate.fields.METHOD", -1)
    assert source.digest() != before


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("m") / "toy", scale=1, domain="fluorescence", channels=4,
        head_channels=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("known") / "images"  # its name decides which field is which
    folder.mkdir()
    for i in range(24):
        rng = np.random.default_rng(i)
        image = 200 + cells((64, 64), seed=i).astype(float)
        for y, x in rng.uniform(8, 56, (14, 2)):
            image += rng.uniform(2000, 9000) * star((64, 64), y, x, 2.5)
        tifffile.imwrite(folder / f"{i:03}.tif", image.astype(np.float32))
    return folder


def test_the_command_writes_curves_that_detect_uses(model, images, tmp_path, capsys):
    run = ["calibrate", str(model), str(images), "--existence", "--samples", "4", "--limit", "3",
           "--precision", "fp32", "--out", str(tmp_path / "out")]  # fmt: skip
    for name in ("calibration.json", "existence.json"):
        (model / name).write_text('{"version": 1}')  # an old one has no say
    with pytest.raises(SystemExit) as stop:
        main(run)
    (model / "calibration.json").unlink()
    seen = capsys.readouterr()
    assert stop.value.code == 0, seen.err
    found = Existence.read(model / "existence.json")
    assert found.key == ModelFacts.read(model).key
    assert "has version 1" in seen.err + seen.out
    spot = found.curve("spot", 3.0, 4)
    assert spot.candidates >= 60
    assert "P(exists), calibrated: spot" in seen.out
    kept = sorted((tmp_path / "out" / "existence").rglob("*.npz"))
    assert len({path.parent for path in kept}) == 3
    result = sciup.upscale(images / "000.tif", model=model, samples=4, device="cpu", psf_fwhm=2.5)
    table = sciup.detect(result, "spot", limit=3.0, samples=4)
    np.testing.assert_allclose(table["p_exists"], spot(table["p_raw"]))
    # a second run goes on from what is kept, and leaves the curves of another limit alone
    before = [p.stat().st_mtime_ns for p in kept]
    with pytest.raises(SystemExit):
        main(run)
    assert [p.stat().st_mtime_ns for p in kept] == before
    assert Existence.read(model / "existence.json").curves == found.curves


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--check"], "were given together"),
        (["--stress"], "were given together"),
        (["--limit", "0"], "a limit of S/N 0"),
        (["--limit", "1e9", "--samples", "4", "--every", "8"], "0 candidates of kind 'spot'"),
    ],
)
def test_mistakes_are_told(model, images, tmp_path, capsys, arguments, says):
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "calibrate",
                str(model),
                str(images),
                "--existence",
                "--out",
                str(tmp_path),
                *arguments,
            ]
        )
    assert stop.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())
