"""Measured pairs are registered, compared, and trained on; what does not fit is refused."""

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter, shift, zoom

from sciup.errors import InputError, ModelError
from sciup.physics.registration import shift_between
from sciup.testing.toy_images import cells
from sciup.testing.toy_training import tiny_recipe
from sciup.train import kernels
from sciup.train.degrade import Degrader
from sciup.train.kernels import RIM, pick
from sciup.train.pack import Pack, make_pack
from sciup.train.recipe_file import check_recipe
from sciup.train.sources import load_truths

SCALE, GAIN, PEDESTAL, SIGMA = 2, 0.5, 100.0, 2.0


@pytest.fixture(autouse=True)
def _few_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "BANK", 4)


def recipe(**changes):
    pairs = [{"low": "low", "high": "high"}]
    return check_recipe(tiny_recipe(sources=[], pairs=pairs, held_out=0.0) | changes, "made")


def write_pair(folder, name, *, seed=0, move=(0.0, 0.0), size=(260, 240), other=None):
    """A low image of a high one that was moved [fine px]; 1 unit is `GAIN` electrons."""
    high = cells((size[0], size[1]), seed=seed, electrons=3e4, read_noise=0.0)
    seen = shift(gaussian_filter(high if other is None else other, SIGMA), move, mode="nearest")
    light = seen.reshape(size[0] // 2, 2, size[1] // 2, 2).mean((1, 3)) / 30
    rng = np.random.default_rng(seed + 100)
    low = rng.poisson(light) + rng.normal(0, 1, light.shape)
    for kind, image in (("low", low / GAIN + PEDESTAL), ("high", high)):
        (folder / kind).mkdir(exist_ok=True)
        tifffile.imwrite(folder / kind / f"{name}.tif", image.astype(np.float32))


@pytest.mark.parametrize("move", [(0.0, 0.0), (0.3, -0.2), (3.0, -5.0)])
def test_the_shift_is_measured(move):
    still = cells((150, 160), electrons=1e4)
    moved = shift(still, move, mode="nearest")
    assert shift_between(still, moved) == pytest.approx([-m for m in move], abs=0.15)


def test_a_shifted_pair_is_registered_and_its_blur_and_line_are_found(tmp_path):
    write_pair(tmp_path, "a", move=(5.0, -3.0))
    result = load_truths(recipe(), tmp_path, tmp_path)
    (entry,) = result.files
    assert entry.fate == "train"
    assert "shift (2." in entry.note
    pairs = result.pairs
    low, high = pairs.low[0], pairs.high[0]
    assert high.shape == tuple(SCALE * n for n in low.shape)
    assert low.shape[0] < 130
    slope, offset, dark, bright, _, _ = pairs.facts[0]
    truth = high * result.truths.quantum * slope + offset
    # the mean is the same light, in electrons
    assert truth.mean() == pytest.approx(low.mean(), rel=0.02)
    assert dark < bright
    assert pairs.fwhm[0] * SCALE == pytest.approx(SIGMA * 2.355, rel=0.25)


def test_batches_of_pairs_fit_what_the_sampler_is_told(tmp_path):
    """What is left is noise, of the size that `sciup inspect` would tell, which may be off."""
    for i in range(2):
        write_pair(tmp_path, str(i), seed=i)
    pack = make_pack(recipe(core=32), tmp_path, tmp_path)
    pack.save(tmp_path / "p.safetensors")
    pack = Pack.load(tmp_path / "p.safetensors")
    assert len(pack.kernels.true) == 6
    degrader = Degrader(pack.recipe, pack.truths, pack.kernels, 7, pack.pairs)
    bank, chi = pack.kernels.projection(pack.recipe), []
    for i in range(6):
        b = degrader.batch(i)
        assert (b.kernel >= 4).all()
        edge = RIM * SCALE
        grid = np.pad(b.truth.numpy(), [(0, 0)] * 2 + [(edge, edge)] * 2, mode="edge")
        seen = pick(bank, b.kernel).observe(b.truth.new_tensor(grid))
        middle = np.s_[..., RIM + 8 : -RIM - 8, RIM + 8 : -RIM - 8]
        z = ((b.measured - seen) / b.sigma)[middle][b.mask[middle] > 0]
        chi.append(float(z.square().mean()))
    assert 0.5 < np.mean(chi) < 2.2


def test_pairs_beside_sources_get_their_share(tmp_path):
    write_pair(tmp_path, "a")
    sources = [{"path": "high", "share": 3.0}]
    result = load_truths(recipe(sources=sources), tmp_path, tmp_path)
    assert result.pairs.share.sum() == pytest.approx(0.25)
    assert len(result.truths.images) == 1


def test_what_does_not_fit_is_refused_and_listed(tmp_path):
    write_pair(tmp_path, "a_good")
    write_pair(tmp_path, "b_far", move=(40.0, 0.0))
    write_pair(tmp_path, "c_other", other=cells((260, 240), seed=77, electrons=3e4))
    write_pair(tmp_path, "d_size")
    tifffile.imwrite(tmp_path / "high" / "d_size.tif", cells((300, 300)))
    write_pair(tmp_path, "e_magnified")
    grown = zoom(tifffile.imread(tmp_path / "high" / "e_magnified.tif"), 1.03, order=1)
    tifffile.imwrite(tmp_path / "high" / "e_magnified.tif", grown[3:263, 3:243])
    result = load_truths(recipe(), tmp_path, tmp_path)
    fates = {f.unit.split("/")[-1][:1]: f.fate for f in result.files}
    assert fates["a"] == "train"
    assert all(fates[k] != "train" for k in "bcde"), fates
    assert "not 2 times larger" in fates["d"]
    assert "quadrants differ" in fates["e"]
    assert len(result.pairs.low) == 1


def test_numbers_of_images_must_agree(tmp_path):
    write_pair(tmp_path, "a")
    (tmp_path / "low" / "b.tif").write_bytes((tmp_path / "low" / "a.tif").read_bytes())
    with pytest.raises(InputError, match="as many low as high"):
        load_truths(recipe(), tmp_path, tmp_path)


def test_no_pair_that_fits_is_an_error(tmp_path):
    write_pair(tmp_path, "a", other=cells((260, 240), seed=77, electrons=3e4))
    with pytest.raises(InputError, match="can be used"):
        load_truths(recipe(), tmp_path, tmp_path)


def test_pairs_of_the_sky_are_refused():
    with pytest.raises(ModelError, match="fluorescence only"):
        recipe(domain="night-sky")
