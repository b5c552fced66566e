"""Candidates of an ensemble: what is one, how likely it exists, and how much light it has."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sciup.errors import InputError, ModelError, OptionError
from sciup.existence import (
    KINDS,
    Curve,
    Existence,
    Target,
    agreement,
    point_limit,
    search,
    union,
)
from sciup.existence.believed import Believed, noise_area
from sciup.physics.instrument import Fact, Instrument
from sciup.risk.ranks import interval
from sciup.risk.stored import Key
from sciup.testing.toy_images import star

POINT = Target("point", 2.0, reach=2.5, limit=50.0, noise=1.0)
SHAPE = (64, 80)


def stars(*places, flux=100.0, shape=SHAPE, fwhm=2.0):
    """An image with stars, as sharp as draws are."""
    return sum((flux * star(shape, y, x, fwhm) for y, x in places), np.zeros(shape))


def test_chances_of_a_known_ensemble():
    sure, some, once = (20, 20), (40, 30), (30, 60)
    shown = [(sure, some, once), (sure, some), (sure, some), *[(sure,)] * 5]
    found = search(np.stack([stars(*p) for p in shown]), 0.0, POINT)
    at = {
        tuple(int(i) for i in p.round()): (int(v), float(c))
        for p, v, c in zip(found.place, found.votes, found.p_raw, strict=True)
    }
    # the draw that shows it does not vote: 7, 2 and 0 of 7 others
    assert at == {sure: (7, 7.5 / 8), some: (2, 2.5 / 8), once: (0, 0.5 / 8)}
    assert np.isnan(found.spread[found.votes == 0]).all()
    np.testing.assert_allclose(found.spread[found.votes > 0], 0, atol=1e-6)


@pytest.mark.parametrize(("apart", "candidates", "votes"), [(2.4, 1, [1]), (2.7, 2, [0, 0])])
def test_what_is_within_reach_is_one(apart, candidates, votes):
    """Half a FWHM of the input's PSF, 2.5 px here, between two draws."""
    found = search(np.stack([stars((30, 30)), stars((30, 30 + apart))]), 0.0, POINT)
    assert len(found) == candidates
    assert found.votes.tolist() == votes


def test_what_wanders_is_one_candidate():
    """Its detections lie up to 5 px apart, the reach is 2.5 px: two anchors, one mean place."""
    steps = [-2.5, -1.2, 0.0, 0.0, 0.0, 1.2, 2.5]
    draws = [stars((30, 40 + x), flux=100 + abs(x)) for x in steps]
    found = search(np.stack(draws), 0.0, POINT)
    places, _, _ = union(
        [(np.array([[30.0, 40 + x]]), np.array([100 + abs(x)])) for x in steps], 2.5
    )
    assert len(places) > 1
    assert len(found) == 1
    # two stars this far apart in every draw are two
    both = search(np.stack([stars((30, 37), (30, 43))] * 3), 0.0, POINT)
    assert sorted(both.place[:, 1].round().tolist()) == [37, 43]


def test_positions_are_means_over_the_draws_that_show_it():
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 0.4, (40, 2))
    draws = [stars((30 + y, 40 + x)) for y, x in offsets] + [np.zeros(SHAPE)] * 9
    found = search(np.stack(draws), 0.0, POINT)
    np.testing.assert_allclose(found.place - (30, 40), [offsets.mean(0)], atol=0.05)
    away = np.hypot(*(offsets - offsets.mean(0)).T)
    assert found.spread[0] == pytest.approx(np.quantile(away, 0.68), abs=0.08)


def test_fluxes_are_those_of_all_draws():
    fluxes = [120.0, 90.0, 40.0, 0.0]  # the third is below the limit, the last is not there
    found = search(np.stack([stars((30, 40), flux=f) for f in fluxes]), 0.0, POINT)
    assert found.votes.tolist() == [1]
    # a Gaussian over pixels is a little wider than one at their middles
    np.testing.assert_allclose(found.fluxes[0], np.array(fluxes), rtol=0.06, atol=0.1)


def places_of(p, rng):
    """A grid of places, at those of which something is by chance."""
    return np.argwhere(np.ones((20, 20)))[rng.uniform(size=400) < p] * 10.0


def test_chances_are_reliable_where_truth_and_draws_are_exchangeable():
    """Per class of P, as many candidates exist as P says, within two standard errors."""
    rng = np.random.default_rng(1)
    count, reach = 65, 2.0
    # places as draws have them: many that hardly exist, f(p) ~ p^-3/2 (1 - p)^-1/2 above 1 in 500
    grid = np.linspace(0.002, 0.9995, 20000)
    weight = grid**-1.5 * (1 - grid) ** -0.5
    said, true = [], []
    for _ in range(40):
        p = rng.choice(grid, 400, p=weight / weight.sum())
        images = [places_of(p, rng) for _ in range(count + 1)]
        images = [i + rng.normal(0, 0.3, i.shape) for i in images]
        found = [(i, rng.uniform(50, 100, len(i))) for i in images]
        places, _, votes = union(found[1:], reach)
        said.append((0.5 + votes) / count)
        exists = np.hypot(*np.moveaxis(places[:, None] - images[0], -1, 0)).min(1) <= reach
        true.append(exists)
    said, true = np.concatenate(said), np.concatenate(true)
    edges = [0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1]
    for low, high in pairwise(edges):
        part = (said >= low) & (said < high)
        error = np.sqrt(said[part].mean() * (1 - said[part].mean()) / part.sum())
        assert part.sum() > 50
        assert abs(true[part].mean() - said[part].mean()) < 2 * error, (low, high)


def test_draws_that_vote_for_themselves_would_be_caught():
    """The same simulation with the detecting draw counted: rare candidates would be doubled."""
    rng = np.random.default_rng(1)
    said, true = [], []
    for _ in range(200):
        images = [places_of(0.02, rng) for _ in range(17)]
        places, _, votes = union([(i, rng.uniform(50, 100, len(i))) for i in images[1:]], 1.0)
        said.append(np.stack([(0.5 + votes) / 16, (1.5 + votes) / 16]))
        true.append((np.abs(places[:, None] - images[0]).max(-1) < 1).any(1))
    said, share = np.hstack(said).mean(1), np.concatenate(true).mean()
    assert said[1] - share > 2 * abs(said[0] - share)


def test_intervals_of_fluxes_cover():
    """68 and 95 % of true fluxes lie within, where truth and draws are exchangeable."""
    rng = np.random.default_rng(2)
    places = np.argwhere(np.ones((3, 4))) * 20 + 12.0
    hits = {0.68: [], 0.95: []}
    for _ in range(14):
        centre = rng.uniform(100, 300, len(places))
        images = []
        for _ in range(40):
            flux = rng.normal(centre, 10)
            jitter = rng.normal(0, 0.3, places.shape)
            pairs = zip(flux, places + jitter, strict=True)
            images.append(sum(f * star((64, 88), y, x, 2.0) for f, (y, x) in pairs))
        draws = search(np.stack(images[1:]), 0.0, POINT)
        both = search(np.stack([images[0], *images[1:]]), 0.0, POINT)
        assert len(draws) == len(both) == len(places)
        order, same = (np.lexsort(c.place.round(-1).T) for c in (draws, both))
        truth = both.fluxes[same, 0]
        for level, inside in hits.items():
            low, high = interval(draws.fluxes[order], level)
            inside.extend((truth > low) & (truth < high))
    for level, hit in hits.items():
        error = np.sqrt(level * (1 - level) / len(hit))
        assert np.mean(hit) == pytest.approx(level, abs=2.5 * error)


def test_masks():
    draws = np.stack([stars((30, 40), (30, 60))] * 3)
    draws[:, 25:36, 55:] = np.nan
    found = search(draws, 0.0, POINT)
    assert found.place.round().tolist() == [[30, 40]]
    assert found.blemish.tolist() == [15.0]
    assert np.isinf(search(np.stack([stars((30, 40))] * 2), 0.0, POINT).blemish).all()
    draws[:] = np.nan
    assert len(search(draws, 0.0, POINT)) == 0


def test_the_mask_of_a_micrograph_is_no_structure():
    """Light goes on behind it: an edge against darkness would be full of spots and filaments."""
    draws = np.full((2, 96, 96), 100.0)
    draws[:, 40:60, 40:45] = draws[:, 70:, 70:] = np.nan
    for kind in KINDS["fluorescence"]:
        assert len(search(draws, 0.0, Target(kind, 2.0, 4.0, 10.0, 0.1))) == 0


def nucleus(shape, y, x):
    from scipy.ndimage import gaussian_filter

    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return gaussian_filter(100.0 * (np.hypot(rows - y, cols - x) < 12), 2)


def filament(shape, x0, x1):
    from scipy.ndimage import gaussian_filter

    image = np.zeros(shape)
    image[shape[0] // 2, x0:x1] = 300
    return gaussian_filter(image, 1.0)


@pytest.mark.parametrize(
    ("kind", "image", "places"),
    [
        ("spot", lambda: stars((40, 50), shape=(96, 96)), [(40, 50)]),
        ("nucleus", lambda: nucleus((128, 128), 60, 64), [(60, 64)]),
        ("filament", lambda: filament((96, 128), 30, 100), [(48, 30), (48, 99)]),
        ("extended", lambda: stars((40, 50), flux=900, shape=(96, 96), fwhm=8.0), [(40, 50)]),
    ],
)
def test_every_kind(kind, image, places):
    shown = image()
    draws = np.stack([shown, shown, 0 * shown])
    draws += np.random.default_rng(0).normal(0, 1e-3, draws.shape)
    target = Target.of(kind, fwhm=2.0, input_fwhm=6.0, limit=50.0, noise=0.01)
    found = search(draws, 0.0, target)
    assert found.votes.tolist() == [1] * len(places)
    assert sorted(found.place.round(-1).tolist()) == [
        [round(y, -1), round(x, -1)] for y, x in places
    ]
    # there is light in the two draws that show it, and hardly any in the third
    assert (np.abs(found.fluxes[:, 2]) < 1).all()
    np.testing.assert_allclose(found.fluxes[:, 0], found.fluxes[:, 1], rtol=1e-3)
    there, fluxes, away = agreement(found, shown, 0.0, target)
    assert there.all()
    assert (away < 0.5).all()
    np.testing.assert_allclose(fluxes, found.fluxes[:, 0], rtol=1e-3)
    there, fluxes, away = agreement(found, draws[2], 0.0, target)
    assert not there.any()
    assert np.isnan(away).all()
    np.testing.assert_allclose(fluxes, found.fluxes[:, 2])
    # with a limit above its light it does not exist
    assert len(search(draws, 0.0, replace(target, limit=2 * found.fluxes.max()))) == 0


@pytest.mark.parametrize("radius", [9, 15, 21])
def test_a_nucleus_has_all_of_its_light(radius):
    from scipy.ndimage import gaussian_filter

    rows, cols = np.mgrid[:160, :160]
    image = gaussian_filter(30.0 * (np.hypot(rows - 80, cols - 76) < radius), 2) + 12
    target = Target.of("nucleus", fwhm=2.0, input_fwhm=6.0, limit=50.0, noise=0.1)
    found = search(np.stack([image, image]), 0.0, target)
    assert len(found) == 1
    np.testing.assert_allclose(found.fluxes, 30 * np.pi * radius**2, rtol=0.06)


def test_a_spot_lies_on_whatever_is_below_it():
    image = stars((40, 50), shape=(96, 96))
    slope = 20 + 0.5 * np.mgrid[:96, :96][0]
    target = Target.of("spot", fwhm=2.0, input_fwhm=6.0, limit=50.0, noise=0.1)
    plain, on = (search(np.stack([i, i]), 0.0, target).fluxes for i in (image, image + slope))
    np.testing.assert_allclose(on, plain, rtol=0.02)


def instrument(**values):
    none = Fact(None, "assumed", "")
    names = Instrument.__dataclass_fields__
    given = {n: Fact(v, "given", "") for n, v in values.items()}
    return Instrument(**dict.fromkeys(names, none) | given)


def test_the_limit_is_a_signal_to_noise():
    from sciup.physics.psf import gaussian

    facts = instrument(psf_fwhm=3.0, noise_sigma=2.0, electrons_per_unit=4.0)
    b = Believed.of("point", 5.0, facts, scale=2, target_fwhm=2.0, flux=4)
    assert float(b.snr(np.array(b.limit))) == pytest.approx(5)
    assert b.target.reach == 3.0
    assert b.target.limit == b.limit  # a flux per pixel adds up to the same on any grid
    other = Believed.of("point", 5.0, facts, scale=2, target_fwhm=2.0, flux=1)
    assert other.target.limit == 4 * b.target.limit
    picture = instrument(psf_fwhm=3.0, psf=gaussian(31, np.hypot(3.0, 2.3548 / 12**0.5)))
    assert noise_area(picture) == pytest.approx(noise_area(facts), rel=0.01)
    assert noise_area(instrument(psf_fwhm=3.0, psf_beta=2.5)) > noise_area(facts)
    assert point_limit(5, 0, 9, 2.0) == 12.5  # photons only: F = S^2 / g
    with pytest.raises(OptionError, match="limit of S/N -1"):
        Believed.of("point", -1.0, facts, scale=2, target_fwhm=2.0, flux=4)


KEY = Key("abc", {"floor": -1.5}, 1)


def curve(**changes):
    made = Curve("point", 5.0, 64, (0.1, 0.5, 0.9), (0.0, 0.25, 1.0), 100, 9, ({"P": "a"},))
    return replace(made, **changes)


def test_a_curve_turns_what_draws_say_into_what_was_true():
    rng = np.random.default_rng(3)
    p = rng.integers(0, 65, 6000) / 65
    exists = rng.uniform(size=6000) < p**2
    units = [str(i % 50) for i in range(6000)]
    made = Curve.fit(p, exists, kind="point", limit=5, samples=64, units=units)
    np.testing.assert_allclose(made([0.2, 0.5, 0.8]), [0.04, 0.25, 0.64], atol=0.08)
    assert (np.diff(made(np.linspace(0, 1))) >= 0).all()
    assert (made.candidates, made.units) == (6000, 50)
    certain = Curve.fit([0.1] * 9 + [0.9] * 40, [0] * 9 + [1] * 40, kind="point", limit=5,
                        samples=64, units=["a"] * 49)  # fmt: skip
    np.testing.assert_allclose(certain([0, 0.1, 0.9, 1]), [0.05, 0.05, 40.5 / 41, 40.5 / 41])
    with pytest.raises(InputError, match=r"29 candidates .*Allowed: 30 or more"):
        Curve.fit([0.5] * 29, [1] * 29, kind="point", limit=5, samples=64, units=["a"] * 29)


def test_curves_are_found_for_what_they_were_made_for(tmp_path):
    known = Existence(key=KEY, about={"day": "today"}, curves=(curve(),))
    known.write(tmp_path / "existence.json")
    again = Existence.of_model(tmp_path, KEY)
    assert again == known
    assert again.curve("point", 5.0, 64) == curve()
    assert "not calibrated for kind 'spot'" in again.curve("spot", 5.0, 64)
    assert "--limit 5 --samples 64 only" in again.curve("point", 6.0, 64)
    assert "--limit 5 --samples 64 only" in again.curve("point", 5.0, 16)
    for other, says in (
        ({"weights": "abd"}, "weights abc, not abd"),
        ({"projection": {}}, "projection"),
        ({"beliefs": 2}, "beliefs 1, not 2"),
    ):
        assert says in Existence.of_model(tmp_path, replace(KEY, **other))
    assert "sciup calibrate" in Existence.of_model(tmp_path / "none", KEY)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 1}, "version 1"),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"curves": [{"kind": "point"}]}, r"damaged at curves\.0\.limit"),
        ({"key": {"weights": "abc"}}, r"damaged at key\.projection"),
        ({"curves": "raw"}, "does not rise"),
        ({"curves": "more"}, "chances from 0 to 1"),
        (None, "cannot be read"),
    ],
)
def test_damaged_curves_are_refused(tmp_path, change, says):
    path = tmp_path / "existence.json"
    Existence(key=KEY, curves=(curve(),)).write(path)
    data = json.loads(path.read_text())
    if change == {"curves": "raw"}:
        data["curves"][0]["raw"] = [0.5, 0.1, 0.9]
    elif change == {"curves": "more"}:
        data["curves"][0]["calibrated"] = [0, 0.5, 1.5]
    else:
        data |= change or {}
    path.write_text("{" if change is None else json.dumps(data))
    with pytest.raises(ModelError, match=says):
        Existence.of_model(tmp_path, KEY)


def test_nonsense_is_refused():
    with pytest.raises(OptionError, match="reach and limit above 0"):
        replace(POINT, reach=0.0)
    with pytest.raises(OptionError, match=r"kind 'planet'.*point, extended"):
        _ = replace(POINT, kind="planet").domain
