"""A pack holds all that training needs; training needs torch, numpy and safetensors only."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from sciup.errors import InputError, OutputError
from sciup.testing.toy_training import tiny_recipe, write_images
from sciup.train import kernels
from sciup.train.degrade import Degrader
from sciup.train.pack import MIB, Pack, make_pack, thinned
from sciup.train.recipe_file import check_recipe

REFUSED = [
    *("pydantic", "scipy", "yaml", "astropy", "zarr", "dask", "tifffile", "typer", "rich"),
    *("skimage", "matplotlib", "imagecodecs", "galsim"),
]
ALONE = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Refuse())
from sciup.train.__main__ import main
sys.exit(main({arguments}))
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    recipe = check_recipe(tiny_recipe(), "made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "BANK", 4)
        return make_pack(recipe, write_images(folder), folder, "# by hand\nname: tiny\n")


def test_a_pack_gives_the_same_batches(pack, tmp_path):
    size = pack.save(tmp_path / "p.safetensors")
    again = Pack.load(tmp_path / "p.safetensors")
    assert size == (tmp_path / "p.safetensors").stat().st_size
    assert again.recipe == pack.recipe
    assert again.text == pack.text
    assert again.files == pack.files
    assert again.digest == pack.digest
    one, other = (Degrader(p.recipe, p.truths, p.kernels, 7).batch(3) for p in (pack, again))
    assert torch.equal(one.planes, other.planes)
    assert torch.equal(one.truth, other.truth)


@pytest.mark.parametrize("workers", [0, 1])
def test_training_needs_torch_numpy_and_safetensors_only(pack, tmp_path, workers):
    pack.save(tmp_path / "p.safetensors")
    arguments = [str(tmp_path / "p.safetensors"), "--out", str(tmp_path / "run"), "--device", "cpu"]
    arguments += ["--workers", str(workers)]
    script = ALONE.format(refused=set(REFUSED), arguments=arguments)
    (tmp_path / "alone.py").write_text(
        script.replace("from sciup", "if __name__ == '__main__':\n  from sciup").replace(
            "sys.exit", "  sys.exit"
        )
    )
    command = [sys.executable, "-W", "error", str(tmp_path / "alone.py")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert {p.name for p in run.iterdir()} >= {"checkpoint.pt", "weights.safetensors", "curves.csv"}
    assert (run / "recipe.yaml").read_text() == pack.text
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    assert saved["step"] == pack.recipe.steps


def test_sheets_show_what_was_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "BANK", 4)
    folder = write_images(tmp_path / "data", 3)
    whole, kept = (
        make_pack(check_recipe(tiny_recipe(held_out=h), "made"), folder, folder) for h in (0, 0.4)
    )
    assert whole.shown is None
    kept.save(tmp_path / "p.safetensors")
    shown = Pack.load(tmp_path / "p.safetensors").shown
    assert len(kept.truths.images) == 2
    trained = {image.tobytes() for image in kept.truths.images}
    other = [x for x in whole.truths.images if x.tobytes() not in trained]
    assert len(other) == 1
    assert all(np.array_equal(image, other[0]) for image in shown.images)
    assert shown.quantum == kept.truths.quantum


def large(pack):
    """The same with two sources of unequal share."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 9999, (1100, 1100), np.uint16) for _ in range(6)]
    share = np.array([0.2, 0.2, 0.2, 0.1, 0.1, 0.2])
    group = np.array([0, 0, 0, 1, 1, 1])
    truths = replace(pack.truths, images=images, noise=np.arange(6.0), share=share, group=group)
    return replace(pack, truths=truths)


def test_a_limit_leaves_out_crops_and_keeps_the_shares(pack, tmp_path):
    whole = large(pack)
    small = thinned(whole, 6)
    again = thinned(whole, 6)
    assert small.save(tmp_path / "small.safetensors") < 6 * MIB < whole.truths.nbytes
    assert small.truths.nbytes > 4 * MIB
    assert small.digest == again.digest
    first = small.truths.group == 0
    assert small.truths.share.sum() == pytest.approx(1)
    assert small.truths.share[first].sum() == pytest.approx(0.6)
    assert thinned(whole, 1000) is whole


def test_a_limit_too_small_says_what_is_needed(pack):
    with pytest.raises(InputError, match="or more"):
        thinned(large(pack), 1)


def test_files_that_are_no_packs(tmp_path):
    (tmp_path / "no").write_text("no")
    with pytest.raises(InputError, match="sciup pack"):
        Pack.load(tmp_path / "no")
    with pytest.raises(InputError, match="sciup pack"):
        Pack.load(tmp_path / "none")


def test_a_place_that_cannot_be_written(pack, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        pack.save(tmp_path / "file" / "p.safetensors")
