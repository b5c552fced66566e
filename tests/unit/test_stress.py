"""Fields are spoilt as their names say, and artefacts are found where they are."""

import numpy as np
import pytest
from typer.testing import CliRunner

from sciup.calibrate import stress
from sciup.calibrate.observe import Observation
from sciup.calibrate.scenes import of_case, of_field
from sciup.calibrate.spoil import SITES, SPOILS, nothing, saturated
from sciup.calibrate.stress import RAISED, Spoilt, judge_sites, summary
from sciup.cli import app
from sciup.evaluate.fluorescence.protocol import Case, Condition
from sciup.evaluate.sky.fields import make_field
from sciup.generators.facts import ModelFacts
from sciup.risk.appearance import COUNT
from sciup.risk.familiar import INNOVATION
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

K = 4


def micrograph(side=256, scale=2):
    condition = Condition.parse("1:200", scale)
    truth = condition.light.background + 2 * cells((side, side)).astype(float)
    case = Case(
        "made", "made", "u", "n", scale, np.zeros((side // scale,) * 2, np.float32), truth,
        condition.light, condition.fwhm,
    )  # fmt: skip
    return of_case(case, condition, 2.0)


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("m") / "toy"
    write_toy_model(folder, scale=2, domain="night-sky", channels=4, head_channels=4)
    rng = np.random.default_rng(0)
    model = ModelFacts.read(folder)
    return of_field(make_field(rng.exponential(1, (256, 256)), [], 0, model), model)


@pytest.fixture(params=["micrograph", "sky"])
def scene(request):
    return micrograph() if request.param == "micrograph" else request.getfixturevalue("sky")


def spoil(name, scene, seed=0):
    return SPOILS[name](scene, np.random.default_rng(seed))


def test_the_noise_of_a_scene_is_what_it_says(scene):
    light = scene.light(scene.truth)
    seen = [scene.observe(scene.truth, np.random.default_rng(i)) for i in range(60)]
    pull = (np.mean(seen, 0) - light) / scene.sigma(light) * np.sqrt(60)
    assert pull.std() == pytest.approx(1, abs=0.03)
    assert np.mean(np.var(seen, 0, ddof=1) / scene.sigma(light) ** 2) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("factor", ["0.33", "0.5", "1.5", "3"])
def test_stated_noise_is_wrong_by_the_factor(scene, factor):
    facts = spoil(f"noise x {factor}", scene).facts
    light = np.array([0.0, 10.0, 1000.0])
    floor = facts["noise_sigma"] if scene.sky else facts["read_noise"] / facts["gain"]
    said = np.sqrt(floor**2 + light / facts["gain"])
    np.testing.assert_allclose(said / scene.sigma(light), float(factor), rtol=0.02)


def test_stated_psf_is_wrong_by_the_factor(scene):
    assert spoil("PSF x 1.3", scene).facts == {"psf_fwhm": pytest.approx(1.3 * scene.fwhm)}


@pytest.mark.parametrize("neighbour", [0.2, 0.6])
def test_noise_is_correlated_with_its_variance_unchanged(scene, neighbour):
    light = scene.light(scene.truth)
    z = (spoil(f"noise correlation {neighbour:g}", scene).observed - light) / scene.sigma(light)
    assert z.std() == pytest.approx(1, abs=0.05)
    assert np.mean(z[1:] * z[:-1]) == pytest.approx(neighbour, abs=0.05)


@pytest.mark.parametrize("name", ["hot pixels", "cosmic rays"])
def test_defects_are_where_the_sites_are_and_nowhere_else(scene, name):
    found, rng = spoil(name, scene), np.random.default_rng(0)
    clean = scene.observe(scene.truth, rng)
    excess = (found.observed - clean) / scene.sigma(scene.light(scene.truth))
    assert len(found.sites) == SITES
    anywhere = np.any(found.sites, axis=0)[:: scene.scale, :: scene.scale]
    np.testing.assert_array_equal(excess[~anywhere], 0)
    assert all((excess[m[:: scene.scale, :: scene.scale]] > 9).any() for m in found.sites)
    np.testing.assert_array_equal(found.truth, scene.truth)


@pytest.mark.parametrize("name", ["arcs", "gaps", "doubles"])
def test_structures_belong_to_the_truth_and_lie_in_their_sites(scene, name):
    found = spoil(name, scene)
    painted = found.truth - scene.truth
    assert painted.min() >= 0
    peak = painted.max()
    assert painted[~np.any(found.sites, axis=0)].max() < 0.1 * peak
    snr = (scene.light(found.truth) - scene.light(scene.truth)) / scene.sigma(
        scene.light(scene.truth)
    )
    assert 3 < snr.max() < 200
    assert (
        abs(found.observed - scene.light(found.truth)).max()
        < 7 * scene.sigma(scene.light(found.truth)).max()
    )


def test_damage_by_software_is_of_the_observed_alone(scene):
    full = nothing(scene, np.random.default_rng(0)).observed
    clipped = saturated(scene, np.random.default_rng(0)).observed
    assert clipped.max() == np.quantile(full, 0.9)
    np.testing.assert_array_equal(clipped[clipped < clipped.max()], full[full < clipped.max()])
    crushed = spoil("JPEG", scene).observed
    assert len(np.unique(crushed)) <= 256
    assert np.corrcoef(crushed.ravel(), full.ravel())[0, 1] > 0.3


def observation(shown, draws):
    n, (h, w) = len(draws), shown.shape
    return Observation(
        draws=np.stack([shown, *draws]), mean=shown, level=np.zeros((h, w)), sigma=np.ones((h, w)),
        snr=np.full((h, w), 20.0), statistics=np.zeros((1, 1, INNOVATION + COUNT + 8)),
    ), n  # fmt: skip


@pytest.mark.parametrize("sure", [True, False])
def test_an_artefact_on_which_the_draws_agree_is_not_marked(tmp_path, sure):
    folder = write_toy_model(tmp_path / "toy", scale=1, channels=4, head_channels=4)
    calibration = write_toy_calibration(folder, samples=K)
    site, empty = np.zeros((2, 64, 64), bool)
    site[10:20, 10:20] = empty[40:50, 40:50] = True
    shown = np.where(site, 50.0, 0.0)
    draws = [shown if sure else np.zeros_like(shown)] * K
    seen, _ = observation(shown, draws)
    spoilt = Spoilt(np.zeros((64, 64)), np.zeros((64, 64)), {}, [site, empty])
    wrong, fine = judge_sites(seen, spoilt, calibration, 1)
    assert wrong["artefact"]
    assert wrong["risky"] is not sure
    assert not fine["artefact"]
    found = summary([wrong, fine])
    assert (found["sites"], found["artefacts"]) == (2, 1)
    assert found["risky"] == float(not sure)
    assert found["elsewhere"] < RAISED


def test_the_badge_raises_what_the_draws_do_not(tmp_path):
    folder = write_toy_model(tmp_path / "toy", scale=1, channels=4, head_channels=4)
    calibration = write_toy_calibration(folder, samples=K, strange=True)
    site = np.zeros((64, 64), bool)
    site[10:20, 10:20] = True
    seen, _ = observation(np.where(site, 50.0, 0.0), [np.where(site, 50.0, 0.0)] * K)
    spoilt = Spoilt(np.zeros((64, 64)), np.zeros((64, 64)), {}, [site])
    (row,) = judge_sites(seen, spoilt, calibration, 1)
    assert row["artefact"]
    assert row["raised"]
    assert not row["risky"]


def test_the_command_reports_every_way(tmp_path, monkeypatch):
    import tifffile

    monkeypatch.setattr(stress, "SPOILS", {n: SPOILS[n] for n in ("nothing", "hot pixels")})
    folder = write_toy_model(
        tmp_path / "toy", scale=1, domain="fluorescence", channels=4, head_channels=4
    )
    write_toy_calibration(folder, samples=K)
    data = tmp_path / "data"
    data.mkdir()
    for i in range(2):
        noisy = cells((96, 96), seed=i) + np.random.default_rng(i).normal(0, 0.5, (96, 96))
        tifffile.imwrite(data / f"{i}.tif", noisy.astype(np.float32))
    done = CliRunner().invoke(
        app,
        ["calibrate", str(folder), str(data), "--stress", "--samples", str(K), "--out",
         str(tmp_path / "out"), "--precision", "fp32"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "| hot pixels | 2 |" in done.output
    assert f"| hot pixels | {2 * SITES} |" in done.output
    assert (tmp_path / "out" / "report.md").is_file()
