"""Broken parts of an input are masked, listed and tried again; a broken disk is an error."""

import numpy as np
import pytest
import zarr
from typer.testing import CliRunner

import sciup
from sciup.cli import app
from sciup.errors import InputError
from sciup.io._provenance import read_provenance
from sciup.io._salvage import PIECE, Salvaged
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

SHAPE = (640, 640)
CHUNK = 128
OPTIONS = {"samples": 1, "maps": ("mean",), "psf_fwhm": 2.4, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def place(tmp_path):
    write_toy_model(tmp_path / "model", scale=2, domain="fluorescence", channels=4, head_channels=4)
    group = zarr.open_group(str(tmp_path / "in.zarr"), mode="w", zarr_format=3)
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [0.1, 0.1]}]
    facts = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [facts]}
    values = cells(SHAPE, seed=1) + np.random.default_rng(0).normal(0, 1, SHAPE)
    group.create_array("0", data=values.astype(np.float32), chunks=(CHUNK, CHUNK))
    return tmp_path


def spoil(place, *chunks):
    for y, x in chunks:
        (place / "in.zarr" / "0" / "c" / str(y) / str(x)).write_bytes(b"rubbish")


def upscale(place, **more):
    return sciup.upscale(place / "in.zarr", model=place / "model", **OPTIONS | more)


def mean_of(path):
    return zarr.open_array(str(path / "mean" / "0"), mode="r")[...]


def test_a_broken_chunk_is_masked_listed_and_nothing_else_changes(place):
    whole = mean_of(upscale(place).save(place / "whole.zarr"))
    spoil(place, (3, 2))
    result = upscale(place)
    found = mean_of(result.save(place / "out.zarr"))
    lost = np.zeros(SHAPE, bool)
    lost[3 * CHUNK : 4 * CHUNK, 2 * CHUNK : 3 * CHUNK] = True
    lost = lost.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(np.isnan(found), lost)
    far = np.s_[: 2 * (3 * CHUNK - 64)]
    # the noise of the draws belongs to the digest of the image, which is another one now
    assert np.corrcoef(found[far].ravel(), whole[far].ravel())[0, 1] > 0.9
    assert read_provenance(place / "out.zarr")["unreadable"] == [
        {"plane": [], "start": [384, 256], "stop": [512, 384]}
    ]
    assert "unreadable" not in read_provenance(place / "whole.zarr")


def test_strict_fails(place):
    spoil(place, (3, 2))
    with pytest.raises(InputError):
        upscale(place, strict=True).save(place / "out.zarr")
    done = CliRunner().invoke(
        app,
        ["upscale", str(place / "in.zarr"), str(place / "o.zarr"), "--model", str(place / "model"),
         "--samples", "1", "--strict"],
    )  # fmt: skip
    assert isinstance(done.exception, InputError)
    assert not (place / "o.zarr").exists()


def test_too_much_is_an_error_and_a_repaired_file_goes_on(place):
    healthy = {p: p.read_bytes() for p in (place / "in.zarr" / "0" / "c").rglob("*") if p.is_file()}
    job = upscale(place)  # what is believed of the instrument comes from the healthy file
    spoil(place, *[(y, x) for y in range(2) for x in range(5)])
    with pytest.raises(InputError, match=r"40% of .* cannot be read.*--resume"):
        job.save(place / "out.zarr")
    assert not (place / "out.zarr").exists()
    for path, content in healthy.items():
        path.write_bytes(content)
    upscale(place).save(place / "out.zarr", resume=True)
    upscale(place).save(place / "straight.zarr")
    np.testing.assert_array_equal(mean_of(place / "out.zarr"), mean_of(place / "straight.zarr"))
    assert "unreadable" not in read_provenance(place / "out.zarr")


def test_a_file_that_is_gone_is_no_damaged_chunk(place):
    from sciup.geometry import Box
    from sciup.io import open_image

    image = open_image(place / "in.zarr")

    def gone(plane, box):
        try:
            (place / "nothing").read_bytes()
        except OSError as error:
            raise InputError("it cannot be read") from error

    image.load = gone
    with pytest.raises(InputError, match="cannot be read"):
        Salvaged.of(image).load((), Box((0, 0), (64, 64)))


def test_a_finished_result_with_holes_says_so(place, caplog):
    spoil(place, (3, 2))
    upscale(place).save(place / "out.zarr")
    upscale(place).save(place / "out.zarr", resume=True)
    assert "1 parts of its input could not be read; --overwrite tries again" in caplog.text


class Picky:
    """Stands in for a reader that cannot read one row."""

    def __init__(self, image, row):
        self.image, self.row = image, row

    def __call__(self, plane, box):
        if box.start[0] <= self.row < box.stop[0]:
            raise InputError("this row cannot be read")
        return type(self.image).load(self.image, plane, box)


def test_pieces_are_those_of_the_whole_image_whatever_the_box(place):
    from sciup.geometry import Box
    from sciup.io import open_image

    image = open_image(place / "in.zarr")
    clean, _ = image.load((), Box((0, 0), SHAPE))
    image.load = Picky(image, 200)
    found = Salvaged.of(image)
    box = Box((100, 30), (300, 170))
    values, footprint = found.load((), box)
    inside = np.zeros(SHAPE, bool)
    inside[PIECE : 2 * PIECE] = True
    np.testing.assert_array_equal(footprint, ~inside[box.slices])
    np.testing.assert_array_equal(values[footprint], clean[box.slices][footprint])
    assert [part for _, part in found.unreadable_in((), box)] == [
        Box((128, 0), (256, 128)), Box((128, 128), (256, 256)),
    ]  # fmt: skip
    assert not found.unreadable_in((), Box((0, 0), (128, 640)))


def test_scores_of_a_shard_that_was_made_again_are_the_new_ones(tmp_path):
    """Journals are read by name: an old one may come last."""
    from sciup.geometry import Box
    from sciup.io._journal import Journal

    lost = [((), Box((0, 0), (128, 128)))]
    Journal(tmp_path, "serial").add((0, (0, 0)), {"mean": "old"}, {(0, 0): [9.0]}, lost)
    assert Journal(tmp_path).unreadable()
    Journal(tmp_path, "node1-7").add((0, (0, 0)), {"mean": "new"}, {(0, 0): [1.0]})
    journal = Journal(tmp_path)
    assert journal.scores()[0].tolist() == [[1.0]]
    assert journal.read() == {(0, (0, 0)): {"mean": "new"}}
    assert journal.unreadable() == []
    assert journal.shards() == {(0, (0, 0))}
