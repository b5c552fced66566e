"""Evaluation of fluorescence models: scores of draws, the protocol, intervals, and the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from sciup.cli import app, main
from sciup.errors import InputError, OptionError
from sciup.evaluate import ensembles, intervals, spectra
from sciup.evaluate.fluorescence import data, protocol, real_noise, tuning
from sciup.evaluate.fluorescence.scores import Estimate, score
from sciup.testing.toy_model import write_toy_model

# -- honesty of draws --------------------------------------------------------------------------


def exchangeable(count: int, side: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws and a truth that come from one distribution."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(side, side))
    every = known + rng.normal(size=(count + 1, side, side))
    return every[1:], every[0]


def test_exchangeable_draws_are_honest():
    draws, truth = exchangeable(19)
    spread, error = ensembles.spread_and_error(draws, truth)
    assert spread == pytest.approx(error, rel=0.05)
    ranks = ensembles.rank_histogram(draws, truth)
    assert ranks.sum() == pytest.approx(1)
    assert ranks == pytest.approx(np.full(20, 0.05), abs=0.01)
    for level in (0.5, 0.8, 0.9):
        low, high = ensembles.interval(np.sort(draws, 0), level)
        assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(level, abs=0.02)
    said, wrong = ensembles.votes(draws[0], draws[1:], truth, 0.5)
    table = ensembles.reliability(said, wrong)
    assert table[0].sum() == truth.size
    assert ensembles.calibration_error(table) < 0.05
    assert ensembles.brier(said, wrong) < wrong.mean() * (1 - wrong.mean()) + 0.01


def test_noise_of_the_truth_is_given_to_draws():
    draws, truth = exchangeable(8)
    noisy = truth + 2 * np.random.default_rng(1).normal(size=truth.shape)
    plain = ensembles.spread_and_error(draws, noisy)
    fair = ensembles.spread_and_error(ensembles.perturbed(draws, 2.0, [0]), noisy)
    assert plain[0] < 0.3 * plain[1]
    assert fair[0] == pytest.approx(fair[1], rel=0.12)


def test_energy_score_by_hand():
    draws = np.stack([np.zeros((4, 4)), np.full((4, 4), 2.0)])
    # mean distance to the truth 1, half the distance of the pair 1
    assert ensembles.energy_score(draws, np.ones((4, 4)), 2) == pytest.approx(0)
    assert ensembles.energy_score(draws, np.full((4, 4), 4.0), 2) == pytest.approx(2)


def test_auroc_and_sparsification():
    rng = np.random.default_rng(2)
    happened = rng.uniform(size=4000) < 0.3
    assert ensembles.auroc(rng.uniform(size=4000), happened) == pytest.approx(0.5, abs=0.03)
    assert ensembles.auroc(happened.astype(float), happened) == 1
    assert np.isnan(ensembles.auroc(np.zeros(3), np.zeros(3, bool)))
    error = rng.normal(size=4000)
    assert ensembles.ause(np.abs(error), error) == pytest.approx(0)
    assert ensembles.ause(rng.uniform(size=4000), error) > 0.3


# -- spectra -----------------------------------------------------------------------------------


def test_power_of_white_noise():
    _, power = spectra.ring_power(3 * np.random.default_rng(3).normal(size=(200, 160)))
    assert power.mean() == pytest.approx(9, rel=0.05)


def test_log_spectral_distance_of_a_weaker_image():
    truth = gaussian_filter(np.random.default_rng(4).normal(size=(128, 128)), 1.5)
    assert spectra.log_spectral_distance(truth, truth, 0.0) == 0
    found = spectra.log_spectral_distance(truth / 10, truth, 0.0)
    assert found == pytest.approx(20)
    assert np.isnan(spectra.log_spectral_distance(truth, truth, 10.0))


@pytest.mark.parametrize("scale", [2, 4])
def test_imprint_of_a_grid(scale: int):
    rng = np.random.default_rng(5)
    images = [gaussian_filter(rng.normal(size=(256, 256)), 0.7) for _ in range(16)]
    clean = [spectra.imprint(image, scale) for image in images]
    means = {key: np.mean([c[key] for c in clean]) for key in clean[0]}
    assert len(means) == (3 if scale == 2 else 9)
    assert max(abs(v) for v in means.values()) < 0.12
    image = rng.normal(size=(256, 256))
    image[:, ::scale] += 0.5
    found = spectra.imprint(image, scale)
    assert max(found, key=found.__getitem__).startswith(f"0/{scale},")
    assert max(found.values()) > np.log(2)
    assert spectra.imprint(image, 1) == {}


# -- intervals ---------------------------------------------------------------------------------


def test_images_of_one_unit_stay_together():
    rng = np.random.default_rng(6)
    fields = rng.normal(size=30)
    values = fields.repeat(4)
    units = [str(i) for i in range(30) for _ in range(4)]
    found = intervals.ratio(values, np.ones(120), units)
    low, high = found.ends
    assert found.value == pytest.approx(fields.mean())
    assert high - low == pytest.approx(2 * 1.96 * fields.std() / np.sqrt(30), rel=0.2)
    alone = intervals.ratio([1.0, 3.0], [1.0, 1.0], ["a", "a"])
    assert alone.value == 2
    assert np.isnan(alone.ends).all()
    assert np.isnan(intervals.ratio([np.nan], [1.0], ["a"]).value)
    both = intervals.mean_of_sets([found, alone])
    assert both.value == pytest.approx((found.value + 2) / 2)
    assert both.ends[1] - both.ends[0] == pytest.approx((high - low) / 2)


# -- protocol ----------------------------------------------------------------------------------


# (mean of observed, scores), by the project's reference implementation of the protocol
PROTOCOL = [
    (
        107.63558197021484,
        {
            "gain_mean": 5.068525403420503,
            "gain_draw": -0.8553667838853739,
            "crps": 0.010367396951123776,
            "skill1": 2.227350253018119,
            "cover1": 1.4601417824074074,
            "skill4": 2.1767654145995867,
            "cover4": 1.4554398148148149,
            "skill16": 1.688991531168217,
            "cover16": 1.4814814814814814,
            "ece": 0.01638454861111111,
        },
    ),
    (
        109.03388977050781,
        {
            "gain_mean": 5.433559856762097,
            "gain_draw": -0.5047467972450316,
            "crps": 0.010349759560974009,
            "skill1": 2.224601330212484,
            "cover1": 1.4561971028645835,
            "skill4": 2.160536777376331,
            "cover4": 1.4615885416666667,
            "skill16": 1.5541498214762408,
            "cover16": 1.3020833333333335,
            "ece": 0.018452962239583336,
        },
    ),
]


def write_data(folder: Path) -> Path:
    """Two images and one that is too small, as a data folder."""
    rows = ["split\tdataset\timage\tunit"]
    target = folder / "test" / "blobs"
    target.mkdir(parents=True)
    for name, side in (("a", 132), ("b", 160), ("small", 100)):
        rng = np.random.default_rng(side)
        y, x = np.mgrid[:side, :side] / 8.0
        image = 1000 * (1 + np.sin(x) * np.cos(0.7 * y)) + rng.uniform(0, 20, (side, side))
        tifffile.imwrite(target / f"{name}.tif", image.astype(np.uint16))
        rows.append(f"test\tblobs\t{name}\t{name}")
    rows.append("train\tblobs\ta\ta")
    rows.append("test\tw2s_single_frame\ta\ta")
    (folder / "MANIFEST.tsv").write_text("\n".join(rows) + "\n")
    return folder


def some_draws(case: protocol.Case) -> np.ndarray:
    """Draws that need no network: the truth with smooth errors."""
    rng = np.random.default_rng(7)
    error = rng.normal(size=(4, *case.truth.shape)) * np.sqrt(case.truth)
    return case.truth + error


@pytest.mark.parametrize("which", [0, 1])
def test_protocol_gives_the_stored_numbers(tmp_path: Path, which: int):
    condition = protocol.Condition(2.0, 200.0)
    found = list(protocol.cases(write_data(tmp_path), condition))
    assert [c.name for c in found] == ["a", "b"]
    assert found[0].truth.shape == (128, 128)
    case = found[which]
    observed, scores = PROTOCOL[which]
    assert float(case.observed.mean()) == pytest.approx(observed, rel=1e-6)
    got = score(Estimate.of(case, some_draws(case)), case).numbers
    assert {k: got[k] for k in scores} == pytest.approx(scores, rel=1e-6)


def test_protocol_wants_a_manifest(tmp_path: Path):
    with pytest.raises(InputError, match=r"MANIFEST\.tsv"):
        list(protocol.cases(tmp_path, protocol.Condition(2.0, 200.0)))


def test_scores_of_a_plain_image(tmp_path: Path):
    case = next(protocol.cases(write_data(tmp_path), protocol.Condition(2.0, 200.0)))
    got = score(Estimate.of_stretched(case, protocol.reference(case)[None]), case).numbers
    assert got["gain_mean"] == got["gain_draw"] == 0
    assert np.isnan(got["skill1"])
    assert got["flux"] == pytest.approx(1, abs=0.05)
    assert "p_crps" not in got


@pytest.mark.parametrize("scale", [1, 2])
def test_other_scales(tmp_path: Path, scale: int):
    condition = protocol.Condition.parse(protocol.DEFAULTS[scale][0], scale)
    case = next(protocol.cases(write_data(tmp_path), condition))
    assert case.truth.shape == tuple(scale * n for n in case.observed.shape)
    settings = tuning.tuned(scale, condition.sigma, condition.peak)
    found = {
        name: tuning.reconstruct(case, name.split(", ")[-1], s) for name, s in settings.items()
    }
    truth = case.light.forward(case.truth)
    error = {name: np.mean((image - truth) ** 2) for name, image in found.items()}
    assert min(error, key=error.__getitem__) != "bicubic"


def test_light_goes_there_and_back():
    light = protocol.Light(10.0, 200.0, gain=0.5, pedestal=7.0)
    values = np.linspace(7, 800, 50)
    assert light.inverse(light.forward(values)) == pytest.approx(values)
    assert light.forward(light.values(np.array([10.0, 210.0]))) == pytest.approx([0, 1])


# -- data --------------------------------------------------------------------------------------


def test_own_images_are_found(tmp_path: Path):
    (tmp_path / "other").mkdir()
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((80, 80), "uint16"))
    tifffile.imwrite(tmp_path / "other" / "b.tif", np.zeros((6, 80, 80), "uint16"))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "broken.tif").write_bytes(b"II*\0 and nothing more")
    found = data.items(tmp_path)
    assert {i.unit for i in found} == {"a.tif", "other/b.tif", "broken.tif"}
    assert sum(i.unit == "other/b.tif" for i in found) <= data.PLANES
    assert {i.dataset for i in found} == {tmp_path.name, "other"}


@pytest.mark.parametrize("text", ["", "split\tdataset\n", "split\tdataset\timage\tunit\ntest\n"])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str):
    (tmp_path / "MANIFEST.tsv").write_text(text)
    with pytest.raises(InputError, match=r"MANIFEST\.tsv"):
        data.items(tmp_path)


def test_unknown_splits_and_conditions_are_refused(tmp_path: Path):
    with pytest.raises(OptionError, match="test, train"):
        data.items(write_data(tmp_path), "validate")
    for text in ("2", "a:b", "2:0", "-1:200"):
        with pytest.raises(OptionError, match="SIGMA:PEAK"):
            protocol.Condition.parse(text)


def test_real_noise_is_paired_and_matched(tmp_path: Path):
    rng = np.random.default_rng(8)
    folder = tmp_path / "test" / "fmd_bpae_b"
    folder.mkdir(parents=True)
    y, x = np.mgrid[:256, :256] / 9.0
    mean = 60 + 40 * np.sin(x) * np.cos(y)
    names = ("1_avg50_mean50", "1_HV110_0", "1_HV110_1", "2_HV110_0")
    for name in names:
        image = mean if "mean" in name else rng.poisson(mean)
        tifffile.imwrite(folder / f"{name}.tif", image.astype(np.uint8))
    lines = [f"test\tfmd_bpae_b\t{n}\t{n.split('_')[0]}" for n in names]
    text = "\n".join(["split\tdataset\timage\tunit", *lines])
    (tmp_path / "MANIFEST.tsv").write_text(text + "\n")
    pairs = real_noise.pairs(tmp_path, 2, "test", 1)
    assert [(f.name, t.name) for f, t in pairs] == [("1_HV110_0", "1_avg50_mean50")]
    (case,) = real_noise.cases(pairs, 2, lambda _item, reason: pytest.fail(reason))
    assert case.observed.shape == (128, 128)
    assert case.light.gain == pytest.approx(4, rel=0.3)  # the mean of four pixels
    twice = Estimate.of(case, 2 * case.truth[None] + 5)
    assert twice.linear[0] == pytest.approx(case.truth)


# -- the command -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "toy"
    return write_toy_model(
        folder, scale=2, domain="fluorescence", channels=4, head_channels=4, blocks=1
    )


def test_evaluation_of_own_images(tmp_path: Path, toy: Path):
    images = tmp_path / "images"
    write_data(tmp_path / "data")
    images.mkdir()
    for name in ("a", "b"):
        (tmp_path / "data" / "test" / "blobs" / f"{name}.tif").rename(images / f"{name}.tif")
    (images / "broken.tif").write_bytes(b"II*\0 and nothing more")
    tifffile.imwrite(images / "tiny.tif", np.zeros((20, 20), "uint16"))
    out = tmp_path / "out"
    options = ["--condition", "1:200", "--draws", "3", "--twin", str(toy)]
    found = CliRunner().invoke(
        app, ["evaluate", str(toy), str(images), "--out", str(out), *options]
    )
    assert found.exit_code == 0, found.output
    page = (out / "report.md").read_text()
    assert "2 images of 2 independent units; 2 could not be used" in page
    assert str(tmp_path) not in page
    with (out / "images.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["kind"] for r in rows} == {"model", "twin", "baseline"}
    assert all(np.isfinite(float(r["gain_mean"])) for r in rows)
    with (out / "skipped.csv").open() as file:
        assert {r["image"] for r in csv.DictReader(file)} == {"broken.tif", "tiny.tif"}
    for name in ("gains", "spread_skill", "reliability", "ranks", "spectra", "frc", "sheet_1"):
        assert (out / f"{name}.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "DATA is missing"),
        (["nowhere"], "not a folder"),
        (["."], "holds no image"),
        ([".", "--condition", "2"], "SIGMA:PEAK"),
        ([".", "--scenes", "x.npy"], "leave --scenes out"),
        ([".", "--twin", "nothing"], "there is no model"),
    ],
)
def test_mistakes_are_told(
    arguments: list[str],
    words: str,
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(toy), *arguments, "--out", "out"])
    assert stop.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
