"""``sciup batch``: every image gets its result or its reason."""

import errno
import json
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from astropy.io import fits
from distributed import Client, LocalCluster
from typer.testing import CliRunner

import sciup
from sciup import batch as batches
from sciup.cli import app, main
from sciup.errors import InputError, OptionError, OutputError
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SMALL = ["--samples", "1", "--maps", "mean", "--psf-fwhm", "2.4", "--precision", "fp32"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night")
    for i in range(3):
        header = fits.Header({"BUNIT": "adu"})
        fits.PrimaryHDU(star_field((80, 90), seed=i), header).writeto(folder / f"f{i}.fits")
    (folder / "f3.fits").write_bytes(b"SIMPLE  = nothing of the kind")
    write_toy_model(folder / "model", channels=4, head_channels=4)
    return folder


def run(folder, *arguments):
    return CliRunner().invoke(
        app, ["batch", *map(str, arguments), "--model", str(folder / "model"), *SMALL]
    )


def outcomes(out):
    return {
        o["input"].rsplit("/", 1)[-1]: o
        for o in json.loads((out / "batch.json").read_text())["outcomes"]
    }


def test_a_full_disk_ends_a_batch_at_once(tmp_path, monkeypatch):
    items = [batches.Item(f"f{i}.fits", tmp_path / f"f{i}.fits") for i in range(50)]
    begun = []

    def upscale(item):
        begun.append(item)
        time.sleep(0.05)
        raise InputError("no such image")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"batch.json cannot be written.*No space"):
        batches.run_batch(items, upscale, tmp_path)
    assert len(begun) < 10


def test_a_bad_image_does_not_end_the_others(folder, tmp_path):
    done = run(folder, folder / "f*.fits", "--out", tmp_path)
    assert done.exit_code == 3, done.output
    found = outcomes(tmp_path)
    assert [found[f"f{i}.fits"]["status"] for i in range(4)] == ["done"] * 3 + ["failed"]
    assert "f3.fits" in found["f3.fits"]["error"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "batch.json", "f0.fits", "f1.fits", "f2.fits",
    ]  # fmt: skip
    alone = sciup.upscale(
        folder / "f1.fits", model=folder / "model", samples=1, psf_fwhm=2.4, precision="fp32"
    ).mean.compute()
    np.testing.assert_array_equal(fits.getdata(tmp_path / "f1.fits", "MEAN"), alone)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.fits")}
    again = run(folder, folder / "f[012].fits", "--out", tmp_path)
    assert again.exit_code == 0, again.output
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.fits")} == before
    anew = run(folder, folder / "f0.fits", "--out", tmp_path, "--overwrite")
    assert anew.exit_code == 0
    assert (tmp_path / "f0.fits").stat().st_mtime_ns > before["f0.fits"]


def test_jobs_have_options_of_their_own(folder, tmp_path):
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(
        f"defaults: {{seed: 3}}\njobs:\n  - {{input: {folder}/f0.fits, output: a.fits}}\n"
        f"  - {{input: {folder}/f0.fits, output: b.zarr, seed: 4,"
        " maps: [mean, std], hdu: 0}\n"
    )
    done = run(folder, jobs, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    stories = [
        sciup.io._provenance.read_provenance(tmp_path / "out" / n) for n in ("a.fits", "b.zarr")
    ]
    assert [s["seed"] for s in stories] == [3, 4]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_fields_of_a_plate_keep_their_places(version, folder, tmp_path):
    plate = tmp_path / "plate.ome.zarr"
    layout = 2 if version == "0.4" else 3

    def group(path, attributes):
        made = zarr.open_group(str(path), mode="a", zarr_format=layout)
        made.attrs.update(
            attributes if version == "0.4" else {"ome": {"version": "0.5"} | attributes}
        )
        return made

    group(plate, {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}})
    for well in ("A/1", "B/2"):
        group(plate / well, {"well": {"images": [{"path": "0"}, {"path": "1"}]}})
        for i in "01":
            scales = [
                {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.1, 0.1]}]}
            ]
            axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
            image = group(
                plate / well / i,
                {"multiscales": [{"axes": axes, "datasets": scales, "version": version}]},
            )
            image.create_array("0", data=cells((64, 64), seed=int(i)).astype(np.float32))
    shown = run(folder, plate, "--out", tmp_path / "out", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "4 images" in shown.output
    items = batches.items_of([str(plate)], tmp_path / "out", None)
    places = [str(i.output.relative_to(tmp_path / "out")) for i in items]
    assert places == [f"plate/{w}/{i}.ome.zarr" for w in ("A/1", "B/2") for i in "01"]
    done = run(folder, plate, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert all((tmp_path / "out" / p / "zarr.json").is_file() for p in places)


def test_a_cluster_makes_several_at_a_time(folder, tmp_path):
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as pool, Client(pool) as client:  # fmt: skip
        items = batches.items_of([str(folder / "f[012].fits")], tmp_path, None)

        def upscale(item):
            return sciup.upscale(
                item.input, model=folder / "model", samples=1, psf_fwhm=2.4, maps=("mean",),
                precision="fp32",
            )  # fmt: skip

        found = batches.run_batch(items, upscale, tmp_path, client=client)
    assert [o.status for o in found] == ["done"] * 3
    for item in items:
        np.testing.assert_array_equal(
            fits.getdata(item.output, "MEAN"), upscale(item).mean.compute()
        )


def test_a_stopped_batch_keeps_what_is_done_and_goes_on(folder, tmp_path):
    def stopped(item):
        if item.input.endswith("f1.fits"):
            raise KeyboardInterrupt
        return sciup.upscale(
            item.input, model=folder / "model", samples=1, psf_fwhm=2.4, precision="fp32"
        )

    items = batches.items_of([str(folder / "f[01].fits")], tmp_path, None)
    found = batches.run_batch(items, stopped, tmp_path)
    assert [o.status for o in found] == ["done", "stopped"]
    assert json.loads((tmp_path / "batch.json").read_text())["images"] == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("jobs: [{input: IN, sead: 3}]", "unknown option 'sead'.*write 'seed'"),
        ("jobs: [{output: a.fits}]", "job 0 of .* has no input"),
        ("jobs: 3", "lists no jobs"),
        ("jobs: []\nworkers: 3", "unknown key 'workers'"),
        ("jobs: [", "cannot be read"),
    ],
)
def test_mistakes_in_job_files_are_told_before_anything_runs(text, says, folder, tmp_path, capsys):
    path = tmp_path / "jobs.yaml"
    path.write_text(text.replace("IN", str(folder / "f0.fits")))
    with pytest.raises(SystemExit) as stop:
        main(["batch", str(path), "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    import re

    assert re.search(says, " ".join(capsys.readouterr().err.split()))
    assert not (tmp_path / "out").exists()


def test_names_that_clash_and_patterns_without_files(folder, tmp_path):
    with pytest.raises(OptionError, match="two images would be written"):
        batches.items_of([str(folder / "f0.fits")] * 2, tmp_path, None)
    with pytest.raises(InputError, match="matches no file"):
        batches.items_of([str(folder / "*.tiff")], tmp_path, None)
