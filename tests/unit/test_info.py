"""`sciup info`: what a finished result says of itself, and what is said of anything else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import toy_run
from toy_run import each
from typer.testing import CliRunner

from sciup.cli import app
from sciup.engine.run import work_folder
from sciup.engine.settings import ADDED, MAPS, STEPS
from sciup.errors import InputError, InterruptedRunError
from sciup.io._provenance import read_provenance
from sciup.results.about import about, size_on_disk
from sciup.results.finished import Finished
from sciup.results.meanings import MEANINGS
from sciup.results.recognise import check_result
from sciup.results.verify import verify

ROOT = Path(__file__).parents[2]


@each
def test_every_fact_is_told(suffix):
    path = toy_run.straight(suffix)
    facts, stored = about(path), read_provenance(path)
    assert [row["name"].partition("/")[0] for row in facts["maps"]] == [
        "sample", "mean", "std", "samples",
    ]  # fmt: skip
    assert {row["unit"] for row in facts["maps"]} == {"adu"}
    assert all(row["meaning"] for row in facts["maps"])
    for key in ("model", "weights", "scale", "seed", "samples", "source", "created", "instrument"):
        assert facts[key] == stored[key], key
    assert facts["shape"] == [4200, 100]
    assert (facts["input_region"], facts["tolerance"]) == ("0:2100,0:50", "3sigma")
    assert facts["stored_samples"] == 2
    assert facts["output_psf_fwhm_px"] == 2.0
    assert facts["instrument"][0]["psf_fwhm"] == {"value": 2.4, "origin": "given",
                                                  "note": "--psf-fwhm"}  # fmt: skip
    assert facts["pixel_unit"] is None
    assert facts["bytes"] == size_on_disk(path) > 1e5
    assert facts["checksums"]
    assert "checksums" not in facts["provenance"]
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


@each
def test_people_and_programs_read_the_same(suffix):
    path = toy_run.straight(suffix)
    text = CliRunner().invoke(app, ["info", str(path)], catch_exceptions=False)
    data = CliRunner().invoke(app, ["info", str(path), "--json"], catch_exceptions=False)
    assert text.exit_code == data.exit_code == 0
    assert json.loads(data.stdout) == about(path)


@pytest.mark.parametrize("name", [*MAPS, *ADDED, *STEPS, "samples"])
def test_every_map_has_a_meaning_here_and_in_the_reference(name):
    assert MEANINGS[name]
    assert f"`{name}`" in (ROOT / "docs/reference/maps.md").read_text()


def test_an_image_is_no_result():
    with pytest.raises(InputError, match=r"an image: fits, yx 2100 x 50.*sciup inspect") as error:
        check_result(toy_run.base() / "in.fits")
    assert error.value.exit_code == 2


def test_neither_is_something_else(tmp_path):
    with pytest.raises(InputError, match="there is no result"):
        check_result(tmp_path / "no.fits")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="no image"):
        check_result(tmp_path / "a.txt")
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    with pytest.raises(InputError, match="no image"):
        check_result(tmp_path / "a.npy")


@each
def test_an_unfinished_result_says_how_to_go_on(suffix, tmp_path):
    out = tmp_path / f"out{suffix}"

    def stop(done, _):
        if done > toy_run.SHARD_WINDOWS + 1:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        toy_run.lazy().save(out, progress=stop)
    for path in (out, work_folder(out)):
        with pytest.raises(InputError) as error:
            about(path)
        assert "unfinished" in error.value.what
        assert "1 shards are done" in error.value.what or "0 shards" in error.value.what
        assert f"sciup upscale {toy_run.base() / 'in.fits'} {out} --resume" in error.value.fix


@pytest.mark.parametrize("place", [".", "/", ".."])
def test_a_folder_without_a_name_is_no_result(place, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(InputError, match="no result"):
        about(place)


@pytest.mark.parametrize("read", [about, verify, Finished.open])
def test_an_address_is_told_whole(read):
    with pytest.raises(InputError, match=r"https://a\.org/r\.fits is an address.*this machine"):
        read(Path("https://a.org/r.fits"))


@pytest.mark.parametrize("risk", [None, []])
def test_provenance_that_makes_no_sense_is_told(risk, tmp_path):
    path = tmp_path / "a.ome.zarr"
    shutil.copytree(toy_run.straight(".ome.zarr"), path)
    root = json.loads((path / "zarr.json").read_text())
    root["attributes"]["sciup"]["provenance"]["risk"] = risk
    (path / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(InputError, match="the provenance of"):
        about(path)
