"""Intervals of measurements are calibrated on fields of known truth."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sciup
from sciup.calibrate.fields import KnownField, Source
from sciup.calibrate.gathering import Gathering
from sciup.errors import InputError, ModelError
from sciup.generators.facts import ModelFacts
from sciup.geometry import Box
from sciup.physics.instrument import Fact, Instrument
from sciup.results.draws import Draws
from sciup.risk.conformal import LEAST, crossed, ends
from sciup.risk.stored import Key
from sciup.science.coverage.fit import classes, fit, strata_table, stratum, table
from sciup.science.coverage.gather import Errors, errors_of, measured
from sciup.science.coverage.rivals import rivals_table
from sciup.science.measure.interval import LEVELS, Summary
from sciup.science.measure.measurements import (
    EDGES,
    FILE,
    Measurements,
    Stratum,
    knowledge,
    significance,
    spread,
)
from sciup.testing.toy_images import star, star_field
from sciup.testing.toy_model import write_toy_model

STATED = {"psf_fwhm": 2.3, "background": 0.0, "noise_sigma": 5.0, "gain": 10.0}
KEY = Key("a" * 64, {"blur": 1.0}, 1)
REST = {"noise_sigma": (1.0, "given"), "background": (0.0, "header")}
CIRCLE = "image\ncircle(21,21,4)"


def instrument(**facts):
    none = Fact(None, "assumed", "")
    made = {n: Fact(*f, "") for n, f in facts.items()}
    return Instrument(**dict.fromkeys(Instrument.__dataclass_fields__, none) | made)


def one(
    name="flux", low=5.0, high=None, known="stated", z=((-2.0, 1.0), (-4.0, 3.0)), areas=(9, 90)
):
    return Stratum(name, known, low, high, areas, 100, 10, z, (0.5, 0.8), (0.67, 0.94))


@given(
    st.lists(st.integers(-10_000, 10_000), min_size=8, max_size=200, unique=True),
    st.sampled_from(LEVELS),
)
def test_one_more_score_lies_between_the_ends_as_often_as_promised(scores, level):
    """Each of n + 1 exchangeable scores is the last one with the same chance."""
    values = np.array(scores, float)
    inside = 0
    for i, last in enumerate(values):
        low, high = ends(np.delete(values, i), level)
        inside += low <= last <= high
    assert inside >= level * len(values) - 1e-9


def test_ends_leave_out_no_more_than_they_may():
    low, high = ends(np.arange(1.0, 1000.0), 0.68)
    assert (low, high) == (160.0, 840.0)
    assert ends(np.arange(5.0), 0.95) == (-math.inf, math.inf)


def test_significance_is_that_of_an_aperture():
    believed = instrument(noise_sigma=(5.0, "given"), electrons_per_unit=(2.0, "given"))
    assert significance(1000.0, 50.0, believed) == pytest.approx(1000 / math.sqrt(1250 + 500))
    assert significance(-3.0, 50.0, believed) == 0
    assert math.isnan(significance(1.0, 1.0, instrument()))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"psf_fwhm": (2.0, "given")}, "estimated"),
        ({"psf_fwhm": (2.0, "given"), **REST}, "stated"),
        ({"psf_fwhm": (2.0, "header"), **REST}, "stated"),
        ({"psf_fwhm": (2.0, "estimated"), **REST}, "estimated"),
        ({"psf_fwhm": (2.0, "estimated"), "psf": (np.ones((3, 3)), "given"), **REST}, "stated"),
        ({"psf_fwhm": (2.0, "given"), "psf": (np.ones((3, 3)), "estimated"), **REST}, "estimated"),
    ],
)
def test_what_is_known_of_the_instrument(facts, expected):
    assert knowledge(instrument(**facts)) == expected


def test_an_interval_is_moved_and_stretched():
    plain = Summary(10.0, 2.0, ((9.0, 11.0), (6.0, 14.0)))
    assert one().intervals(plain) == Summary(10.0, 2.0, ((6.0, 12.0), (2.0, 16.0)))


@given(st.floats(0, 50), st.floats(0, 5))
def test_numbers_of_things_are_whole_and_not_negative(value, std):
    found = one("sources").intervals(Summary(value, std, ((0, 0), (0, 0))), whole=True)
    scale = spread(found, whole=True)
    for (low, high), (a, b) in zip(found.intervals, one().ends, strict=True):
        assert low == int(low) >= 0
        assert high == int(high) >= value + b * scale
        assert low <= max(value + a * scale, 0)


def test_a_file_comes_back_as_it_was(tmp_path):
    strata = (one(low=20.0), one(low=5.0, high=20.0))
    found = Measurements(key=KEY, about={"day": "x"}, strata=strata, draws=17)
    found.write(tmp_path / FILE)
    assert Measurements.read(tmp_path / FILE) == found
    assert found.find("flux", "stated", 20.0, 30).low == 20
    assert found.find("flux", "stated", 19.9, 30).low == 5
    for other in (
        ("flux", "estimated", 9, 30), ("flux", "stated", math.nan, 30), ("flux", "stated", 4, 30),
        ("flux", "stated", 9, 8), ("flux", "stated", 9, 91), ("length", "stated", 9, 30),
    ):  # fmt: skip
        assert found.find(*other) is None
    assert Measurements.of_model(tmp_path, KEY) == found
    for change in ({"weights": "b" * 64}, {"projection": {"blur": 2.0}}, {"beliefs": 3}):
        assert "is for" in Measurements.of_model(tmp_path, replace(KEY, **change))
    assert "has no measurements.json" in Measurements.of_model(tmp_path / "no", KEY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(version=9), "version 9"),
        (lambda d: d.pop("strata"), "lacks the key 'strata'"),
        (lambda d: d.update(strata=None), "damaged at strata"),
        (lambda d: d["key"].update(projection=None), "damaged at key.projection"),
        (lambda d: d.update(about=3), "damaged at about"),
        (lambda d: d.update(draws="many"), "damaged at draws"),
        (lambda d: d["strata"][0].update(low="x"), "damaged at strata.0.low"),
        (lambda d: d["strata"][0].update(ends=3), "damaged at strata.0.ends"),
        (lambda d: d["strata"][0].update(ends=[[1, 2]]), "damaged at strata.0.ends"),
        (lambda d: d["strata"][0].update(covered=[0.5]), "damaged at strata.0.covered"),
        (lambda d: d["strata"][0].update(ends=[[2, 1], [1, 2]]), "ends in order"),
        (lambda d: d["strata"][0].update(covered=[2, 0]), "shares from 0 to 1"),
        (lambda d: d["strata"][0].pop("areas"), "damaged at strata.0.areas"),
    ],
)
def test_a_damaged_file_is_told(tmp_path, change, words):
    Measurements(key=KEY, strata=(one(),), draws=17).write(tmp_path / FILE)
    data = json.loads((tmp_path / FILE).read_text())
    change(data)
    (tmp_path / FILE).write_text(json.dumps(data))
    with pytest.raises(ModelError, match=words):
        Measurements.read(tmp_path / FILE)
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        Measurements.read(tmp_path / FILE)


@pytest.fixture
def model(tmp_path):
    return write_toy_model(tmp_path / "toy", scale=2, channels=4, head_channels=4)


def image():
    return (star_field((48, 48), stars=0) + 20000 * star((48, 48), 20, 20, 2.3)).astype(np.float32)


def lazy(model, **facts):
    fixed = {"samples": 4, "precision": "fp32", "device": "cpu"}
    return sciup.upscale(image(), model=model, **STATED | fixed | facts)


def beside(model, *strata, draws=4):
    facts = ModelFacts.read(model)
    Measurements(key=facts.key, strata=strata, draws=draws).write(model / FILE)


def test_measure_gives_calibrated_intervals_and_their_coverage(model):
    plain = sciup.measure(lazy(model), "photometry", regions=CIRCLE, samples=4)
    assert "flux_covered68" not in plain.colnames
    assert "has no measurements.json" in plain.meta["coverage"]
    assert plain["snr"][0] > 50
    beside(model, one(high=50.0), one("length"), one(low=50.0, z=((-1.5, 0.5), (-3.0, 2.0))))
    found = sciup.measure(lazy(model), "photometry", regions=CIRCLE, samples=4)
    value, std = plain["flux"][0], plain["flux_std"][0]
    assert (found["flux"][0], found["flux_std"][0]) == (value, std)
    assert found["flux_lo68"][0] == pytest.approx(value - 1.5 * std)
    assert found["flux_hi95"][0] == pytest.approx(value + 2 * std)
    assert (found["flux_covered68"][0], found["flux_covered95"][0]) == (0.67, 0.94)
    assert "calibrated" in found.meta["coverage"]
    for key in ("interval_68", "interval_95", "interval_assumes"):
        assert found.meta[key] == f"rows without *_covered: {plain.meta[key]}"
    json.dumps(found.meta)


def own(image, mask):
    """A function with a familiar name."""
    return {"flux": float(image[mask].sum())}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"with_": own}, "functions of your own"),
        ({"with_": "photometry", "background": "ring"}, "default background only"),
        ({"with_": "size"}, "nothing like these regions was calibrated"),
        ({"with_": "photometry", "samples": 3}, "3 draws spread less surely than the 4"),
        ({"with_": "photometry", "regions": "image\ncircle(21,21,7)"}, "nothing like these"),
    ],
)
def test_nothing_else_is_calibrated(model, options, words):
    beside(model, one())
    found = sciup.measure(lazy(model), **{"regions": CIRCLE, "samples": 4} | options)
    assert words in found.meta["coverage"]
    assert not any("covered" in name for name in found.colnames)


def test_another_class_keeps_the_interval_of_the_draws(model):
    beside(model, one(known="estimated"), one(high=50.0))
    found = sciup.measure(lazy(model), "photometry", regions=CIRCLE, samples=4)
    (model / FILE).unlink()
    plain = sciup.measure(lazy(model), "photometry", regions=CIRCLE, samples=4)
    assert found["flux_lo68"][0] == plain["flux_lo68"][0]


def test_errors_are_those_of_measure(model):
    """Truth and draws are measured in the same way, and as a user would."""
    count = 5
    fixed = {"samples": count, "precision": "fp32", "device": "cpu"}
    result = sciup.upscale(image()[6:34, 6:34], model=model, **STATED | fixed)  # few false maxima
    draws = Draws.of_result(result)
    truth = draws.window((), Box.of_shape(draws.plane_shape), count + 1)[-1]
    known = KnownField(result, truth, 0.0, {"unit": "a", "field": "a"})
    errors = measured(known, count)
    lights = errors.take(errors.name == "flux")
    assert len(lights) >= 1
    assert set(errors.knowledge) == {"stated"}
    bright = int(lights.snr.argmax())
    assert np.isfinite(lights.forced).all()
    assert set(errors.name) == {
        "flux", "intensity", "centroid_y", "centroid_x", "half_light_radius", "diameter", "sources",
    }  # fmt: skip
    # intensity is flux over area: the same score
    same = errors.take(errors.name == "intensity")
    assert same.score[bright] == pytest.approx(lights.score[bright])
    # with units: the picture of the input holds about the light of the truth
    for numbers in (lights.bicubic, lights.value):
        assert numbers[bright] == pytest.approx(lights.truth[bright], rel=0.35)
    # the truth as one of the draws is inside whenever its score is small
    assert (lights.inside[np.abs(lights.score) < 0.3, 1]).all()
    # a truth with more light is brighter than all draws
    more = measured(replace(known, truth=truth * 1.5), count)
    high = more.take((more.name == "flux") & (more.snr > 20))
    assert len(high)
    assert (high.score > 1).all()


def test_draws_that_all_say_the_same_are_not_calibrated(model):
    """Their interval would be a point, and the calibration had no such regions."""
    beside(model, one("a", areas=(0, 1e9)), one("flux"))
    from sciup.science.measure import table as tables
    from sciup.science.measure.quantities import Quantity
    from sciup.science.measure.shapes import Ellipse, Region
    from sciup.science.measure.work import Row

    draws = Draws.of_result(lazy(model))
    facts = ModelFacts.read(model)
    known = Measurements.of_model(model, facts.key)
    region = Region("1", Ellipse((40.0, 40.0), 8.0, 8.0))
    row = Row(region, (), {"a": np.full(4, 2.0)}, "", 100.0, 50.0)
    same = Quantity("a", own, "", {"a": "own"})
    found = tables.make_table([row], draws, same, 4, None, known)
    assert "a_covered68" not in found.colnames
    row.numbers["a"] = np.array([1.0, 2.0, 2.0, 3.0])
    assert "a_covered68" in tables.make_table([row], draws, same, 4, None, known).colnames


def many(seed, units=20, each=30, bias=0.0, wide=1.0, name="flux", snr=30.0):
    rng = np.random.default_rng(seed)
    n = units * each
    scores = bias + wide * rng.standard_normal(n)
    inside = np.abs(scores)[:, None] < np.array([1.0, 2.0])
    unit = np.repeat([f"field {seed} {i}" for i in range(units)], each)
    return Errors(
        np.full(n, name), np.full(n, "stated"), unit, np.full(n, snr), scores, np.ones(n),
        np.ones(n), inside, 10 - scores, 10 + 3 * scores, np.full(n, 10.0),
    )  # fmt: skip


SOURCE = SimpleNamespace(
    model=SimpleNamespace(key=KEY, domain="night-sky"),
    words="toy",
    conditions=("a",),
    precision="fp32",
)


def test_biased_and_narrow_intervals_are_mended():
    found = fit(many(0, bias=0.8, wide=2.0), SOURCE)
    (known,) = found.strata
    assert (known.low, known.high) == (20.0, 50.0)
    assert known.plain[0] < 0.45
    assert known.covered[0] == pytest.approx(0.68, abs=0.06)
    (kept,) = strata_table(found).rows
    assert (kept["S/N"], kept["calibrated 68%"]) == ("20-50", known.covered[0])
    assert kept["68% z low"] == pytest.approx(0.8 - 2.0, abs=0.3)
    (row,) = table(many(1, bias=0.8, wide=2.0), found, "test", "night-sky").rows
    assert row["calibrated 68%"] == pytest.approx(0.68, abs=0.06)
    assert row["calibrated 95%"] == pytest.approx(0.95, abs=0.03)
    assert row["68% from"] < row["calibrated 68%"] < row["68% to"]
    assert row["length"] == pytest.approx(2.0, rel=0.15)  # of normal scores twice too wide


def test_few_regions_or_fields_calibrate_nothing():
    few = many(0, units=20, each=3)
    assert len(few) < LEAST
    assert stratum(few, *EDGES[2:4], "night-sky") is None
    assert stratum(many(0, units=4, each=100), *EDGES[2:4], "night-sky") is None
    with pytest.raises(InputError, match="are too few"):
        fit(few, SOURCE)
    (row,) = table(few, fit(many(0), SOURCE), "test", "night-sky").rows
    assert row["regions"] == 60


def test_a_picture_is_measured_beside_the_draws():
    """Errors of the picture are three times as large, and to the other side."""
    both = Errors.join([many(0, bias=0.5), many(1, name="centroid_y")])
    light, place = rivals_table(both, "test").rows
    assert (light["regions"], light["fields"], light["truth"]) == (600, 20, 10.0)
    assert light["draws bias"] == pytest.approx(-5, abs=1)
    assert light["bicubic bias"] == pytest.approx(15, abs=3)
    assert light["bicubic off"] == pytest.approx(3 * light["draws off"])
    assert light["draws from"] < light["draws off"] < light["draws to"]
    # paired: the ends are those of twice the distance of the draws, not of both apart
    assert light["nearer"] == pytest.approx(2 * light["draws off"])
    assert light["nearer from"] == pytest.approx(2 * light["draws from"])
    assert light["nearer to"] == pytest.approx(2 * light["draws to"])
    # of a place the distance counts, wherever the image begins
    assert place["draws off"] == pytest.approx(0.8, abs=0.06)
    assert np.isnan(place["truth"])


def test_classes_hold_every_error_once():
    both = Errors.join([many(0, snr=4.0), many(1, snr=5.0), many(2, snr=1e9)])
    found = list(classes(both))
    assert sum(len(part) for part, _, _ in found) == len(both) * 2 / 3  # none below 5
    assert [(low, high) for _, low, high in found] == [(5, 10), (50, math.inf)]


def test_coverage_is_that_of_fields_that_had_no_part():
    """Fields of very different number: each is judged by all others, none by chance."""
    parts = [many(i, units=1, each=each) for i, each in enumerate([40] * 3 + [3] * 30)]
    joined = Errors.join(parts)
    found = crossed(joined.score, joined.unit.tolist(), LEVELS)
    assert found[0] == pytest.approx(0.68, abs=0.08)
    assert found[1] == pytest.approx(0.95, abs=0.04)
    # a field that is unlike all others is not covered
    more = Errors.join([*parts, many(99, units=1, each=30, bias=50.0)])
    odd = crossed(more.score, more.unit.tolist(), LEVELS)
    assert odd[0] < found[0]


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    calls = []
    gather = "sciup.science.coverage.gather.measured"
    monkeypatch.setattr("sciup.calibrate.gathering.name_of", str)
    monkeypatch.setattr(gather, lambda field: calls.append(field) or many(len(calls)))
    monkeypatch.setattr(Source, "fields", lambda _, condition, *more: iter([(condition, more[1])]))
    model = SimpleNamespace(key=KEY, domain="night-sky", scale=2)
    monkeypatch.setattr(Source, "conditions", ("a:1", "b:2"))
    source = Source(model, None)
    first = errors_of(Gathering(source, tmp_path))
    assert calls == [("a:1", "nothing"), ("b:2", "nothing"), ("a:1", "all"), ("b:2", "all")]
    again = errors_of(Gathering(source, tmp_path))
    assert len(calls) == 4
    np.testing.assert_array_equal(first.score, again.score)
    errors_of(Gathering(source, tmp_path, "test"))
    assert len(calls) == 8
