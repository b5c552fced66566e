"""Evidence counts what votes and verdicts say; a calibration is right on average and strict."""

import json
from dataclasses import replace
from functools import reduce
from operator import getitem

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from sciup.errors import InputError, ModelError, OptionError
from sciup.risk.calibration import EVERYTHING, Calibration
from sciup.risk.evidence import (
    KINDS,
    PRODUCTS,
    SCALINGS,
    STRATA,
    TOLERANCES,
    Evidence,
    cells,
    tally,
)
from sciup.risk.fitting import binned, calibrate, risk_map, shares, unit_tables, votes_of
from sciup.risk.score import LEVELS, LOWEST, MIDDLES, STEP, level
from sciup.risk.stored import Key
from sciup.risk.votes import SCALES, block_mean, mean_at, verdict, vote
from sciup.testing.toy_calibration import made_familiar, made_fields

FAMILIAR = made_familiar()
KEY = Key("abc", {"wiener": 0.1}, 1)
EDGES = expit(LOWEST + STEP * np.arange(1, LEVELS))
LABELS = {"unit": "u", "group": "g", "field": "f", "condition": "c"}
RNG = np.random.default_rng(0)
SHAPE = (32, 48)
DRAWS = RNG.standard_normal((6, *SHAPE)) + 10
DRAWS[:, 3, 5] = np.nan
TRUTH = RNG.standard_normal(SHAPE) + 10
PLANES = {
    "level": np.full(SHAPE, 2.0),
    "sigma": RNG.uniform(0.2, 0.6, SHAPE),
    "snr": RNG.uniform(0, 30, SHAPE),
}


def evidence(side=1, **more):
    rows = -(-SHAPE[0] // 128), -(-SHAPE[1] // 128)
    return tally(
        DRAWS, TRUTH, **PLANES | more, scale=side, statistics=np.zeros((*rows, 4)), labels=LABELS
    )


@pytest.fixture(scope="module")
def made():
    found = made_fields()
    return found, calibrate(found, FAMILIAR, KEY, samples=16, about={"units": 148})


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("t", range(len(TOLERANCES)))
def test_counts_are_those_of_votes_and_verdicts(scale, t):
    found = evidence()
    tau = TOLERANCES[t].limit(DRAWS[0], PLANES["level"], PLANES["sigma"])
    votes = vote(DRAWS[0], DRAWS[1:], tau, scale)
    apart = np.stack([mean_at(DRAWS[0] - d, scale) for d in DRAWS[1:]])
    limit = tau if scale == SCALES[0] else mean_at(tau, scale)
    law = norm(apart.mean(0), apart.std(0, ddof=1) * np.sqrt(1 + 1 / 5))
    chance = {"invented": law.sf(limit), "missed": law.cdf(-limit)}
    chance["risk"] = chance["invented"] + chance["missed"]
    event = verdict(DRAWS[0], TRUTH, tau, scale)
    snr = PLANES["snr"] if scale == SCALES[0] else block_mean(PLANES["snr"], scale)
    stratum = np.searchsorted(STRATA, snr, side="right")
    wrong = {"risk": event != 0, "invented": event > 0, "missed": event < 0}
    half = {"risk": 0.5, "invented": 0.25, "missed": 0.25}
    for kind, score in zip(KINDS, votes, strict=True):
        share = (np.rint(score * 6 - half[kind]) + chance[kind]) / 6
        found_in = np.searchsorted(EDGES, share)
        table = votes_of(found, "sample", kind, t, scale).reshape(len(STRATA) + 1, LEVELS, 2)
        for s in range(len(STRATA) + 1):
            for n in np.flatnonzero(table[s].any(1) | np.isin(np.arange(LEVELS), found_in)):
                here = (stratum == s) & (found_in == n) & np.isfinite(event)
                assert table[s, n].tolist() == [here.sum(), (here & wrong[kind]).sum()]


def test_the_mean_is_voted_on_by_all_draws():
    found = evidence()
    mean, tau = DRAWS.mean(0), 3 * PLANES["sigma"]
    apart = np.stack([mean_at(mean - d) for d in DRAWS])
    law = norm(apart.mean(0), apart.std(0, ddof=1) * np.sqrt(1 + 1 / 6))
    share = ((np.abs(apart) > tau).sum(0) + law.sf(tau) + law.cdf(-tau)) / 7
    table = votes_of(found, "mean", "risk", 0, SCALES[0]).reshape(-1, LEVELS, 2).sum(0)
    found_in = np.searchsorted(EDGES, share[np.isfinite(mean)])
    assert table[:, 0].tolist() == np.bincount(found_in, minlength=LEVELS).tolist()


def test_blocks_share_out_the_pixels():
    """With 128 input px to a block, fields are cut on the absolute grid."""
    rng = np.random.default_rng(1)
    shape = (160, 288)
    draws, truth = rng.standard_normal((4, *shape)), rng.standard_normal(shape)
    flat = np.ones(shape)
    found = tally(
        draws, truth, level=0 * flat, sigma=flat, snr=9 * flat, scale=1,
        statistics=np.arange(18.0).reshape(2, 3, 3), labels=LABELS,
    )  # fmt: skip
    pixels = votes_of(found, "sample", "risk", 0, SCALES[0])[..., 0].sum(1)
    assert pixels.tolist() == [128 * 128, 128 * 128, 128 * 32, 32 * 128, 32 * 128, 32 * 32]
    assert found.pixels[:, 0].tolist() == pixels.tolist()
    np.testing.assert_array_equal(found.statistics, np.arange(18.0).reshape(6, 3))


def test_intervals_by_hand():
    found = evidence(truth_noise=0.5)
    spread = np.hypot(DRAWS.std(0, ddof=1), 0.5)
    needed = np.abs(TRUTH - DRAWS.mean(0)) / spread
    known = np.isfinite(needed)
    at = 40
    assert found.outside[0, 0, at] == (needed[known] > SCALINGS[at]).sum()
    assert found.outside[0, 0, 0] == known.sum()
    assert found.width[0, 0] == pytest.approx((DRAWS.std(0, ddof=1) / PLANES["sigma"])[known].sum())


def test_conditions_and_blocks_of_a_unit_weigh_once():
    one = evidence()
    labels = [("a", "x", "1"), ("a", "x", "2"), ("a", "y", "1"), ("b", "z", "1")]
    joined = Evidence.join(
        [
            replace(one, unit=np.array([u]), field=np.array([f]), condition=np.array([c]))
            for u, f, c in labels
        ]
    )
    names, means = shares(joined, [2, 4, 6, 8], [10, 10, 10, 10])
    assert names == ["a", "b"]
    np.testing.assert_allclose(means, [0.4, 0.8])
    # two blocks of one field in one condition: pixels count, not blocks
    names, means = shares(joined.take([0, 0]), [1, 5], [10, 30])
    np.testing.assert_allclose(means, [6 / 40])


def test_an_honest_sampler_is_calibrated_and_certified(made):
    _, calibration = made
    again = made_fields(seed=7)
    score, snr = cells()
    for product in PRODUCTS:
        for t, tolerance in enumerate(TOLERANCES):
            promise = calibration.promise(product, tolerance)
            _, table = unit_tables(again, product, "risk", t)
            total = table.sum(0)
            said = promise.maps["risk"].probability(score, snr)
            gap = np.abs(total[:, 1] - said * total[:, 0]).sum() / total[:, 0].sum()
            assert gap < 0.03
            bounds = np.asarray(promise.certificate.bound(EVERYTHING))
            assert (np.diff(bounds) >= 0).all()
            painted = bounds[promise.maps["risk"].bin(said)]
            for bound in np.unique(bounds):
                here = painted == bound
                # bounds are of the mean over fields, which all show every colour here
                assert total[here, 1].sum() <= (bound + 0.01) * total[here, 0].sum()
    assert set(calibration.promises["sample 3sigma"].certificate.units) == {"all", "a", "b"}


def test_intervals_hold_what_they_promise(made):
    _, calibration = made
    again = made_fields(seed=8)
    for coverage, interval in calibration.intervals.items():
        at = int(np.flatnonzero(interval.scaling == SCALINGS)[0])
        outside = again.outside[:, 0, at].sum() / again.pixels[:, 0].sum()
        assert outside <= 1 - float(coverage)


def test_an_overconfident_sampler_gets_higher_risks(made):
    _, honest = made
    tight = calibrate(made_fields(honesty=0.4), FAMILIAR, KEY, samples=16, about={})
    said = [c.promise("sample", "1sigma").tables()["risk"] for c in (honest, tight)]
    few = level(0, 0.5, 16)
    assert said[1][:, few].mean() > said[0][:, few].mean() + 0.1


def test_tables_say_what_the_maps_and_bounds_say(made):
    _, calibration = made
    promise = calibration.promise("sample", "3sigma")
    tables = promise.tables()
    assert all(x.shape == (len(STRATA) + 1, LEVELS) for x in tables.values())
    middle = np.array([1.0, 3.5, 10.0, 30.0])
    for n in (0, 40, LEVELS - 1):
        said = promise.maps["risk"].probability(MIDDLES[n], middle)
        np.testing.assert_allclose(tables["risk"][:, n], said)
        bound = np.asarray(promise.certificate.bound("all"))[promise.maps["risk"].bin(said)]
        np.testing.assert_array_equal(tables["bound"][:, n], bound)


def test_json_keeps_everything(made, tmp_path):
    _, calibration = made
    calibration.write(tmp_path / "calibration.json")
    again = Calibration.read(tmp_path / "calibration.json")
    assert again.digest == calibration.digest
    assert again.to_dict() == calibration.to_dict()
    assert [p.name for p in tmp_path.iterdir()] == ["calibration.json"]


def spoilt(data, *path):
    """The same without the number at a place."""
    data = json.loads(json.dumps(data))
    *to, last = path
    reduce(getitem, to, data)[last] = None
    return data


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d | {"version": 99}, "version 99"),
        (lambda d: d | {"colour": 1}, "unknown key 'colour'"),
        (lambda d: {k: v for k, v in d.items() if k != "domain"}, "lacks the key 'domain'"),
        (lambda d: d | {"key": {"weights": "abc"}}, "lacks the key 'projection'"),
        (lambda d: d | {"seed": "x"}, "seed is"),
        (lambda d: d | {"seed": 10**400}, "seed is|cannot be read"),
        (lambda d: spoilt(d, "promises", "sample 3sigma", "alarm", "threshold"), "threshold of"),
        (lambda d: spoilt(d, "intervals", "0.9", "scaling"), "scaling of"),
        (lambda d: spoilt(d, "familiar", "appearance", "vectors", 0, 0), "cannot be read"),
    ],
)
def test_a_damaged_calibration_is_refused(made, tmp_path, spoil, says):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(spoil(made[1].to_dict())))
    with pytest.raises(ModelError, match=says):
        Calibration.read(path)


def test_half_a_file_is_refused(made, tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(made[1].to_dict())[:1000])
    with pytest.raises(ModelError, match="cannot be read"):
        Calibration.read(path)


@pytest.mark.parametrize(
    "change", [{"weights": "xyz"}, {"beliefs": 2}, {"projection": {"wiener": 1.0}}]
)
def test_a_calibration_of_something_else_is_refused(made, change):
    made[1].belongs(KEY, "toy")
    with pytest.raises(ModelError, match=f"is for {next(iter(change))} .*not"):
        made[1].belongs(replace(KEY, **change), "toy")


def test_too_few_units_are_refused():
    with pytest.raises(InputError, match=r"could never fire.*19 units"):
        calibrate(made_fields(units=30), FAMILIAR, KEY, samples=16, about={})
    with pytest.raises(OptionError, match="16 draws"):
        calibrate(made_fields(units=4), FAMILIAR, KEY, samples=8, about={})


def test_evidence_survives_the_disk(made, tmp_path):
    found, _ = made
    found.save(tmp_path / "a.npz")
    again = Evidence.load(tmp_path / "a.npz")
    for name, values in vars(found).items():
        np.testing.assert_array_equal(getattr(again, name), values)
    (tmp_path / "b.npz").write_bytes(b"no")
    with pytest.raises(InputError, match="is no table of Evidence"):
        Evidence.load(tmp_path / "b.npz")


def test_draws_and_truth_must_fit():
    with pytest.raises(InputError, match="draws of shape"):
        tally(DRAWS, TRUTH[:-1], **PLANES, scale=1, statistics=np.zeros((1, 1, 4)), labels=LABELS)


def test_rounding_leaves_no_more_than_everything():
    """Three thirds can add up to more than 1, which no unit can have in a bin."""
    found = made_fields(units=30)
    _, table = unit_tables(found, "sample", "risk", 0)
    spread = np.zeros_like(table)
    spread[:, :, 0] = 1 / table.shape[1] * (1 + 1e-15)
    spread[:, :, 1] = spread[:, :, 0]
    sums = binned(spread, risk_map(table, 16))
    assert (sums[..., 1] <= sums[..., 0]).all()
    assert (sums <= 1).all()
    assert sums[..., 0].sum(1) == pytest.approx(1)
