"""A plate comes in, a plate comes out: every field, every fact, nothing unfinished."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.hcs import HCS
from ome_zarr_models.v05.image import Image
from toy_plate import (
    ACQUISITIONS,
    COLOURS,
    COLUMNS,
    FIELDS,
    LISTED,
    NAMES,
    ORIGIN,
    PIXEL,
    ROWS,
    SCALE,
    SHAPE,
    TIME,
    WELLS,
    arguments,
    write_models,
    write_toy_plate,
)
from typer.testing import CliRunner

import sciup
from sciup import batch as batches
from sciup.cli import app
from sciup.errors import InputError, OptionError, OutputError
from sciup.io import open_image, plate_fields
from sciup.io._provenance import read_provenance
from sciup.results.convert import convert
from sciup.results.plate import Plate

OUTER = tuple(SCALE * n for n in SHAPE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plates")
    write_toy_plate(folder / "plate.ome.zarr")
    write_models(folder)
    return folder


@pytest.fixture(scope="module")
def sharp(folder):
    return made(folder, folder / "sharp.ome.zarr")


def made(folder, out, *more, code=0, source="plate.ome.zarr"):
    done = CliRunner().invoke(app, [*arguments(folder / source, folder, out), *more])
    assert done.exit_code == code, done.output
    return out


def told(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


def attributes(path):
    return json.loads((path / "zarr.json").read_text())["attributes"]


def wells_of(path):
    return [well["path"] for well in attributes(path)["ome"]["plate"]["wells"]]


def test_plate_and_wells_say_what_the_source_says(sharp):
    root = attributes(sharp)["ome"]
    assert root["version"] == "0.5"
    assert root["plate"] == {
        "version": "0.5", "name": "screen", "rows": ROWS, "columns": COLUMNS, "wells": LISTED,
        "field_count": 1, "acquisitions": ACQUISITIONS,
    }  # fmt: skip
    for well in WELLS:
        wanted = {"images": [{"path": "0", "acquisition": 7}], "version": "0.5"}
        assert attributes(sharp / well)["ome"] == {"version": "0.5", "well": wanted}
    assert attributes(sharp / "A") == {}
    assert plate_fields(sharp) == FIELDS
    summary = json.loads((sharp.parent / "sharp.batch.json").read_text())
    assert [one["status"] for one in summary["outcomes"]] == ["done"] * 4


def test_every_field_keeps_axes_times_pixels_names_and_colours(sharp):
    step = PIXEL / SCALE
    first = [o - PIXEL / 2 + step / 2 for o in ORIGIN]
    for field in FIELDS:
        ome = attributes(sharp / field)["ome"]
        (image,) = ome["multiscales"]
        units = [(axis["name"], axis["type"], axis.get("unit")) for axis in image["axes"]]
        assert units == [
            ("t", "time", "second"), ("c", "channel", None), ("y", "space", "micrometer"),
            ("x", "space", "micrometer"),
        ]  # fmt: skip
        (level,) = image["datasets"]
        assert level["path"] == "sample/0"
        scale, translation = level["coordinateTransformations"]
        assert scale["scale"] == pytest.approx([TIME, 1, step, step])
        assert translation["translation"] == pytest.approx([0, 0, *first])
        shown = [(c["label"], c["color"]) for c in ome["omero"]["channels"]]
        assert shown == [(f"{n} sample", c) for n, c in zip(NAMES, COLOURS, strict=True)]
        opened = open_image(sharp / field)
        assert (opened.axes, opened.shape) == ("tcyx", (3, 2, *OUTER))
        assert [c["label"] for c in opened.metadata["channels"]] == list(NAMES)
        assert opened.metadata["axes"]["t"]["unit"] == "second"
        assert opened.metadata["axes"]["t"]["scale"] == TIME


def test_others_can_open_it(sharp):
    group = zarr.open_group(sharp, mode="r")
    found = HCS.from_zarr(group)
    assert [well.ome_attributes.well.images[0].path for well in found.well_groups] == ["0"] * 4
    for field in FIELDS:
        Image.from_zarr(group[field])
        Image.from_zarr(group[f"{field}/mean"])
    (node,) = Reader(parse_url(str(sharp)))()
    whole = np.asarray(node.data[0])
    assert whole.shape == (3, 2, 2 * OUTER[0], 2 * OUTER[1])
    corner = zarr.open_array(sharp / "B/1/0/sample/0", mode="r")[...]
    np.testing.assert_array_equal(whole[..., OUTER[0] :, : OUTER[1]], corner)


def test_a_field_is_what_a_run_of_its_own_would_be(folder, sharp, tmp_path):
    field = "A/2/0"
    alone = sciup.upscale(
        folder / "plate.ome.zarr" / field,
        model={name: folder / name for name in NAMES},
        psf_fwhm={"DAPI": 1.8, "*": 2.6},
        samples=1,
        precision="fp32",
        maps=["sample", "mean"],
    ).save(tmp_path / "alone.ome.zarr")
    one, other = (read_provenance(path) for path in (alone, sharp / field))
    assert {k: v for k, v in one.items() if k != "created"} == {
        k: v for k, v in other.items() if k != "created"
    }
    assert other["channels"] == list(NAMES) * 3
    assert [m["model"] for m in other["models"]] == list(NAMES) * 3
    assert [i["psf_fwhm"]["value"] for i in other["instrument"]] == [1.8, 2.6] * 3


def test_info_and_verify_tell_of_the_plate_and_of_a_field(sharp):
    assert "4 of 4 finished, in 4 wells" in told("info", sharp)
    facts = json.loads(told("info", sharp, "--json"))
    assert list(facts["fields"]) == FIELDS
    assert facts["missing"] == facts["otherwise"] == []
    assert "otherwise" not in told("info", sharp)
    assert "DAPI + GFP" in told("info", sharp / "B/2/0")
    assert "8 maps, 48 shards" in told("verify", sharp)
    assert "2 maps, 12 shards" in told("verify", sharp / "B/2/0")
    with pytest.raises(InputError, match="A/1/0"):
        read_provenance(sharp)


def test_a_field_that_was_made_with_other_options_is_named(folder, sharp, tmp_path):
    copy = shutil.copytree(sharp, tmp_path / "copy.ome.zarr")
    shutil.rmtree(copy / "B/1/0")
    sciup.upscale(
        folder / "plate.ome.zarr" / "B/1/0", model={name: folder / name for name in NAMES},
        psf_fwhm={"DAPI": 1.8, "*": 2.7}, samples=1, precision="fp32", maps=["sample", "mean"],
    ).save(tmp_path / "alone.ome.zarr").rename(copy / "B/1/0")  # fmt: skip
    assert Plate.at(copy).otherwise == ["B/1/0"]
    assert "B/1/0: made with other options than most" in " ".join(told("info", copy).split())
    shutil.rmtree(copy / "A/2/0")  # which verify tells
    assert Plate.at(copy).otherwise == ["B/1/0"]


def test_a_plate_is_converted_field_by_field(sharp, tmp_path):
    with pytest.raises(InputError, match="is a plate of results") as error:
        convert(sharp, tmp_path / "new.fits")
    field = str(error.value.fix).removeprefix("give ")
    convert(field, tmp_path / "new.fits")
    assert open_image(tmp_path / "new.fits", hdu="MEAN").shape == open_image(field).shape


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda p: (p / "A/2/0/mean/0/c/0/0/0/0").write_bytes(b""), "A/2/0: mean"),
        (lambda p: shutil.rmtree(p / "B/1/0"), "B/1/0"),
        (lambda p: _edit(p / "A/1/0", "sample/0", "mean/0"), "A/1/0: zarr.json"),
        (lambda p: _edit(p, '"A/1"', '"A/7"'), "A/7: the plate lists it"),
        (lambda p: (p / "A/1/zarr.json").unlink(), "A/1: the plate lists it"),
    ],
)
def test_damage_is_found_in_its_field(sharp, tmp_path, harm, words):
    copy = shutil.copytree(sharp, tmp_path / "copy.ome.zarr")
    harm(copy)
    assert words in " ".join(told("verify", copy, code=3).split())


def _edit(path, old, new):
    text = (path / "zarr.json").read_text()
    assert old in text
    (path / "zarr.json").write_text(text.replace(old, new))


class StoppedError(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_goes_on_and_never_looks_finished(folder, sharp, tmp_path, monkeypatch):
    out, listed = tmp_path / "sharp.ome.zarr", []
    add = batches.PlateWriter.add

    def killed(self, names):
        """The third field is there, and the plate does not know it."""
        if len(listed) == 2:
            raise StoppedError
        listed.extend(names)
        add(self, names)

    monkeypatch.setattr(batches.PlateWriter, "add", killed)
    runner = CliRunner().invoke(app, arguments(folder / "plate.ome.zarr", folder, out))
    assert isinstance(runner.exception, StoppedError)
    monkeypatch.undo()
    assert plate_fields(out) == FIELDS[:2]
    assert wells_of(out) == list(WELLS[:2])
    HCS.from_zarr(zarr.open_group(out, mode="r"))
    (node,) = Reader(parse_url(str(out)))()
    assert np.isfinite(np.asarray(node.data[0])[..., : OUTER[0], :]).all()
    assert Plate.at(out).missing == FIELDS[2:]
    assert "2 of 4 fields, such as B/1/0" in " ".join(told("verify", out).split())
    assert "2 of 4 finished" in told("info", out)
    made(folder, out)
    for name in ("", *WELLS):
        assert attributes(out / name)["ome"] == attributes(sharp / name)["ome"]
    assert plate_fields(out) == FIELDS


def test_a_field_that_fails_is_missing_and_the_others_are_a_plate(folder, tmp_path, caplog):
    write_toy_plate(tmp_path / "plate.ome.zarr", dark="A/2")
    out = tmp_path / "sharp.ome.zarr"
    runner = CliRunner().invoke(app, arguments(tmp_path / "plate.ome.zarr", folder, out))
    assert runner.exit_code == 3
    assert sum("colocalisation" in record.message for record in caplog.records) == 1
    assert wells_of(out) == ["A/1", "B/1", "B/2"]
    assert Plate.at(out).missing == ["A/2/0"]
    told("verify", out)
    HCS.from_zarr(zarr.open_group(out, mode="r"))


def test_a_field_that_is_not_finished_says_how_to_go_on(folder, tmp_path):
    out = tmp_path / "sharp.ome.zarr"
    writer, items = batches.plate_of([str(folder / "plate.ome.zarr")], out)
    writer.begin()
    work = out / "A/1/0.partial"
    work.mkdir(parents=True)
    (work / "job.json").write_text('{"fingerprint": {"input": "x"}}')
    words = " ".join(told("info", out).split())
    assert "0 of 4 finished" in words
    done = CliRunner().invoke(app, ["info", str(items[0].output)])
    assert isinstance(done.exception, InputError)
    assert f"sciup batch {writer.source} --out {out}" in str(done.exception)
    with pytest.raises(InputError):
        open_image(out)


@pytest.mark.parametrize(
    ("words", "error", "why"),
    [
        (["plate.ome.zarr", "plate.ome.zarr", "--out", "x.zarr"], OptionError, "2 inputs"),
        (["plate.ome.zarr/A/1/0", "--out", "x.zarr"], InputError, "is none"),
        (["plate.ome.zarr", "--out", "x.zarr", "--format", "fits"], OptionError, "is OME-Zarr"),
        (["plate.ome.zarr", "--out", "plate.ome.zarr"], OutputError, "no plate that"),
        (["other.ome.zarr", "--out", "sharp.ome.zarr"], OutputError, "made of"),
    ],
)
def test_what_cannot_be_a_plate_is_refused(folder, sharp, monkeypatch, words, error, why):
    monkeypatch.chdir(folder)
    if not Path("other.ome.zarr").exists():
        shutil.copytree("plate.ome.zarr", "other.ome.zarr")
    before = sorted(path for path in folder.iterdir())
    done = CliRunner().invoke(app, ["batch", *words])
    assert isinstance(done.exception, error), done.output
    assert why in str(done.exception)
    assert sorted(path for path in folder.iterdir()) == before
