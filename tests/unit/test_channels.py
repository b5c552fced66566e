"""Values of single channels: words, errors, and the pixels that follow from them."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import sciup
from sciup.batch_items import changed
from sciup.cli import app
from sciup.cli.options import Drawing, Physics
from sciup.engine.channels import channel_rows
from sciup.errors import InputError, ModelError, OptionError, ResumeError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.io._array import open_array
from sciup.io._channels import OTHERS, channel_names, parse, spread
from sciup.io._provenance import read_provenance
from sciup.report.write import write_report
from sciup.results.draws import Draws
from sciup.risk.calibration import FILE
from sciup.show import risk_words
from sciup.testing.microscopy_files import write_ome_zarr
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

NAMES, COLOURS = ("DAPI", "GFP"), ("0000FF", "00FF00")
PSF = {"DAPI": 1.8, "GFP": 2.6}
RUN = {"samples": 1, "precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("channels")
    pixels = [[cells((40, 36), seed=2 * c + t) for c in range(2)] for t in range(2)]
    write_ome_zarr(
        folder / "cells.ome.zarr", np.stack(pixels).astype("f4"), "tcyx", scale=(5, 1, 0.2, 0.2),
        channels=[{"label": n, "color": c} for n, c in zip(NAMES, COLOURS, strict=True)],
    )  # fmt: skip
    write_toy_model(folder / "model", domain="fluorescence", channels=4, head_channels=4)
    return folder


def stack(count=3, names=None):
    image = open_array(np.zeros((count, 8, 8)), axes="cyx")
    if names:
        image.metadata = {"channels": [{"label": n} for n in names]}
    return image


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (None, None),
        ([], None),
        (["2.4"], 2.4),
        (2.4, 2.4),
        (["DAPI=2.1"], {"DAPI": 2.1}),
        ("DAPI=2.1", {"DAPI": 2.1}),
        (["2.4", " GFP =1e1"], {"*": 2.4, "GFP": 10.0}),
        (["*=2.4"], 2.4),
        ({"DAPI": 2, 1: "3"}, {"DAPI": 2.0, "1": 3.0}),
    ],
)
def test_words_of_a_command_line_and_of_a_file_say_the_same(told, wanted):
    assert parse("--gain", told, float) == wanted


def test_a_path_may_have_an_equals_sign():
    assert parse("--psf", ["*=a=b.tif", "GFP=c=d.tif"], str) == {"*": "a=b.tif", "GFP": "c=d.tif"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["DAPI=1", "DAPI=2"], "twice for channel 'DAPI'"),
        (["1", "2"], "twice for all channels"),
        (["DAPI=wide"], "'wide' is no number"),
        (["DAPI="], "'' is no number"),
    ],
)
def test_what_cannot_be_meant_is_refused(told, words):
    with pytest.raises(OptionError, match=words):
        parse("--gain", told, float)


@given(st.dictionaries(st.integers(0, 4), st.floats(0, 9), max_size=5), st.floats(0, 9))
def test_each_channel_gets_its_own_value_and_the_others_the_rest(own, rest):
    names = "abcde"
    image = stack(5, names)
    wanted = tuple(own.get(k, rest) for k in range(5))
    by_name = {names[k]: value for k, value in own.items()}
    assert spread(image, "--gain", {OTHERS: rest, **own}) == wanted
    assert spread(image, "--gain", {**by_name, OTHERS: rest}) == wanted
    assert spread(image, "--gain", by_name) == tuple(own.get(k) for k in range(5))


@pytest.mark.parametrize(
    ("image", "told", "words"),
    [
        (stack(2, NAMES), {"RFP": 1.0}, r"RFP.*0 \(DAPI\), 1 \(GFP\)"),
        (stack(2, NAMES), {2: 1.0}, r"'2'.*0 \(DAPI\), 1 \(GFP\)"),
        (stack(2, NAMES), {"dapi": 1.0, 0: 2.0}, "twice for channel '0'"),
        (stack(2, ("a", "a")), {"a": 1.0}, r"0 \(a 0\), 1 \(a 1\)"),
        (open_array(np.zeros((8, 8))), {"DAPI": 1.0}, "has no channels"),
    ],
)
def test_a_channel_that_is_not_there_is_refused_with_those_that_are(image, told, words):
    with pytest.raises(OptionError, match=words):
        spread(image, "--gain", told)


def test_numbers_are_those_of_the_file_when_a_channel_is_picked(folder):
    green = open_image(folder / "cells.ome.zarr", channel="GFP")
    assert channel_names(green) == ["GFP"]
    assert spread(green, "--gain", {1: 3.0}) == spread(green, "--gain", {"gfp": 3.0}) == (3.0,)
    with pytest.raises(OptionError, match=r"its channels 1 \(GFP\)"):
        spread(green, "--gain", {0: 3.0})


def test_a_channel_is_drawn_as_if_it_were_alone_with_its_values(folder):
    path, model = folder / "cells.ome.zarr", folder / "model"
    gain = {1: 1.5, "*": 0.7}
    whole = sciup.upscale(path, model=model, psf_fwhm=PSF, gain=gain, **RUN)
    for c, name in enumerate(NAMES):
        alone = sciup.upscale(
            open_image(path, channel=name), model=model, psf_fwhm=PSF[name], gain=(0.7, 1.5)[c],
            **RUN,
        )  # fmt: skip
        np.testing.assert_array_equal(whole.sample(0)[0, c], alone.sample(0)[0, 0])
    other = sciup.upscale(path, model=model, psf_fwhm=PSF["DAPI"], gain=gain, **RUN)
    same = [bool((other.sample(0)[0, c] == whole.sample(0)[0, c]).all()) for c in range(2)]
    assert same == [True, False]


def test_a_psf_image_belongs_to_its_channel(folder):
    y, x = np.mgrid[-7:8, -7:8]
    psf = np.exp(-(x**2 + y**2) / 4.0)
    job = sciup.upscale(
        folder / "cells.ome.zarr", model=folder / "model", psf={"GFP": psf}, psf_fwhm=2.0, **RUN
    ).job
    assert [i.psf.value is not None for i in job.instruments] == [False, True] * 2
    assert [i.psf_fwhm.origin for i in job.instruments] == ["given"] * 4


def test_what_the_file_says_of_a_channel_holds_in_the_whole_stack():
    image = open_array(np.stack([cells((40, 36), seed=c) for c in range(2)]), axes="cyx")
    told = [{"label": n, "psf_fwhm": {"value": v, "note": "Airy"}} for n, v in PSF.items()]
    image.metadata = {"channels": told}
    job = sciup.upscale(image, **RUN).job
    found = [(i.psf_fwhm.value, i.psf_fwhm.origin) for i in job.instruments]
    assert found == [(1.8, "header"), (2.6, "header")]
    stated = sciup.upscale(image, psf_fwhm={"GFP": 3.0}, **RUN).job
    assert [i.psf_fwhm.value for i in stated.instruments] == [1.8, 3.0]


def test_how_well_a_psf_is_known_belongs_to_its_channel(folder):
    path, model = folder / "cells.ome.zarr", folder / "model"
    job = sciup.upscale(
        path, model=model, psf_fwhm=2.0, psf_error={"GFP": "10%"}, **RUN | {"samples": 6}
    ).job
    assert [i.psf_error.value for i in job.instruments] == [None, 0.1] * 2
    line = ["inspect", path, "--model", model, "--psf-error", "GFP=10%", "--json"]
    told = CliRunner().invoke(app, [str(word) for word in line])
    assert told.exit_code == 0, told.output
    first, second = (row[1] for row in channel_rows(NAMES * 2, job.instruments))
    assert (first, second) == ("2 given", "2 given, known to 10 %")
    with pytest.raises(OptionError, match="a share of the width"):
        sciup.upscale(path, model=model, psf_error={"GFP": "wide"}, **RUN)


def test_several_channels_say_once_that_colour_is_not_supported(folder, caplog):
    with caplog.at_level(logging.WARNING, logger="sciup"):
        sciup.upscale(folder / "cells.ome.zarr", model=folder / "model", **RUN)
        sciup.upscale(open_image(folder / "cells.ome.zarr", channel=0), model=folder / "model")
    told = [r.message for r in caplog.records if "colocalisation" in r.message]
    assert len(told) == 1
    assert "2 channels (DAPI, GFP)" in told[0]


def test_command_line_result_info_and_draws_keep_each_channel(folder, tmp_path):
    path, out = folder / "cells.ome.zarr", tmp_path / "out.ome.zarr"
    line = [
        "upscale", path, out, "--model", folder / "model", "--samples", 1, "--maps", "sample,std",
        "--precision", "fp32", "--psf-fwhm", "DAPI=1.8", "--psf-fwhm", "2.6",
        "--read-noise", "GFP=3",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in line])
    assert done.exit_code == 0, done.output
    facts = read_provenance(out)
    assert facts["channels"] == ["DAPI", "GFP"] * 2
    assert [i["psf_fwhm"]["value"] for i in facts["instrument"]] == [1.8, 2.6] * 2
    assert [i["read_noise"]["origin"] for i in facts["instrument"]] == ["assumed", "given"] * 2
    ome = json.loads((out / "sample" / "zarr.json").read_text())["attributes"]["ome"]
    shown = [(c["label"], c["color"]) for c in ome["omero"]["channels"]]
    assert shown == [("DAPI sample", "0000FF"), ("GFP sample", "00FF00")]
    told = CliRunner().invoke(app, ["info", str(out)]).output
    assert "1.8 given" in told
    assert "2.6 given" in told
    drawn = Draws.open(out, model=str(folder / "model"))
    plane = (1, 1)
    stored = sciup.io.open_image(out / "sample").load(plane, Box((0, 0), (80, 72)))[0]
    np.testing.assert_allclose(drawn.window(plane, Box((0, 0), (80, 72)))[0], stored, rtol=1e-5)
    with pytest.raises(ResumeError, match="another instrument"):
        sciup.upscale(
            path, model=folder / "model", psf_fwhm={"DAPI": 1.8, "GFP": 2.5}, read_noise={1: 3.0},
            maps=["sample", "std"], **RUN,
        ).save(out, resume=True)  # fmt: skip


def test_files_of_jobs_have_the_same_keys(folder, tmp_path):
    jobs = tmp_path / "jobs.yaml"
    jobs.write_text(
        f"defaults: {{psf_fwhm: {{DAPI: 1.8, '*': 2.6}}}}\njobs:\n"
        f"  - {{input: {folder}/cells.ome.zarr, output: a.zarr, time: 0}}\n"
        f"  - {{input: {folder}/cells.ome.zarr, output: b.zarr, time: 0, psf_fwhm: 3}}\n"
        f"  - {{input: {folder}/cells.ome.zarr, output: c.zarr, time: 0, psf_fwhm: {{RFP: 3}}}}\n"
    )
    line = ["batch", jobs, "--out", tmp_path / "out", "--model", folder / "model", "--samples", 1]
    done = CliRunner().invoke(app, [str(word) for word in [*line, "--maps", "mean"]])
    assert done.exit_code == 3, done.output
    assert "RFP" in done.output
    widths = [
        [i["psf_fwhm"]["value"] for i in read_provenance(tmp_path / "out" / n)["instrument"]]
        for n in ("a.zarr", "b.zarr")
    ]
    assert widths == [[1.8, 2.6], [3, 3]]


def test_a_list_in_a_file_of_jobs_repeats_an_option():
    told = changed(Physics(), {"psf_fwhm": ["DAPI=1.8", "2.6"], "gain": [1.5]}).options()
    assert told["psf_fwhm"] == {"DAPI": 1.8, "*": 2.6}
    assert told["gain"] == 1.5
    assert changed(Drawing(), {"maps": ["mean", "std"]}).options()["maps"] == ["mean", "std"]


@pytest.fixture(scope="module")
def models(folder):
    for seed, name in enumerate(("one", "two")):
        write_toy_model(
            folder / name, domain="fluorescence", channels=4, head_channels=4, seed=seed
        )
    return {"DAPI": folder / "one", "GFP": folder / "two"}


def test_a_channel_is_drawn_by_its_own_model(folder, models, tmp_path):
    path, out = folder / "cells.ome.zarr", tmp_path / "out.ome.zarr"
    options = {"psf_fwhm": 2.0, "maps": ["sample", "std"], **RUN}
    both = sciup.upscale(path, model=models, **options)
    for c, name in enumerate(NAMES):
        alone = sciup.upscale(open_image(path, channel=c), model=models[name], **options)
        np.testing.assert_array_equal(both.sample(0)[:, c], alone.sample(0)[:, 0])
        np.testing.assert_array_equal(both.std[0, c], alone.std[0, 0])
    both.save(out)
    facts = read_provenance(out)
    assert facts["model"] == "one + two"
    assert [one["model"] for one in facts["models"]] == ["one", "two"] * 2
    assert len(set(facts["fingerprint"]["weights"])) == 2
    box = Box((0, 0), (80, 72))
    for place in (f"{folder}/one,{folder}/two", f"{folder}/two,{folder}/one"):
        drawn = Draws.open(out, model=place)
        for plane in ((0, 0), (1, 1)):
            np.testing.assert_array_equal(
                drawn.window(plane, box)[0], open_image(out / "sample").load(plane, box)[0]
            )
    assert drawn.model_of([(0, 1), (1, 1)]).name == "two"
    assert "several models" in drawn.model_of([(0, 0), (0, 1)])
    with pytest.raises(ResumeError, match="another model"):
        sciup.upscale(path, model=models["DAPI"], **options).save(out, resume=True)


def test_each_plane_must_come_out_as_it_is_stored(folder, models, tmp_path):
    image = open_image(folder / "cells.ome.zarr", time=0)
    pixels = np.stack([image.load(plane, Box((0, 0), (40, 36)))[0] for plane in image.planes])
    options = {"axes": "cyx", "scale": (1, 0.2, 0.2)}
    source = write_ome_zarr(tmp_path / "in.ome.zarr", pixels, **options)
    model = {0: models["DAPI"], 1: models["GFP"]}
    out = sciup.upscale(source, model=model, psf_fwhm=2.0, **RUN).save(tmp_path / "out.ome.zarr")
    pixels[1, 10:20] *= 1.5  # the digest of the first plane is as it was
    shutil.rmtree(source)
    write_ome_zarr(source, pixels, **options)
    drawn = Draws.open(out, model=f"{folder}/one,{folder}/two")
    assert drawn.window((0,), Box((0, 0), (80, 72))).shape[0] == 2
    with pytest.raises(InputError, match="differs from the stored one"):
        drawn.window((1,), Box((0, 0), (80, 72)))


def test_the_same_model_for_all_channels_is_one_model(folder, models):
    told = sciup.upscale(
        folder / "cells.ome.zarr", model={"DAPI": models["GFP"], "*": models["GFP"]}, **RUN
    )
    plain = sciup.upscale(folder / "cells.ome.zarr", model=models["GFP"], **RUN)
    assert told.job.chosen == ()
    assert told.token == plain.token


@pytest.mark.parametrize(
    ("other", "what"),
    [({"scale": 4}, "scale"), ({"domain": "night-sky"}, "domain"), ({"target_fwhm": 3.0}, "FWHM")],
)
def test_models_that_cannot_share_a_result_are_refused(folder, models, tmp_path, other, what):
    kinds = {"domain": "fluorescence", "channels": 4, "head_channels": 4} | other
    write_toy_model(tmp_path / "other", **kinds)
    with pytest.raises(ModelError, match=f"differ in {what}"):
        sciup.upscale(
            folder / "cells.ome.zarr", model={"DAPI": models["DAPI"], "GFP": tmp_path / "other"}
        )


def test_channels_without_a_model_get_one_of_the_same_scale(folder, models):
    job = sciup.upscale(folder / "cells.ome.zarr", model={"GFP": models["GFP"]}).job
    assert [model.name for model in job.models] == ["fluorescence-x2", "two"] * 2
    assert "two" in job.calibration  # it has none, so that no channel has calibrated risk
    assert all(isinstance(one.calibration, str) for one in job.chosen)


def test_each_channel_has_the_calibration_of_its_model(folder, tmp_path):
    path, out = folder / "cells.ome.zarr", tmp_path / "out.ome.zarr"
    for name, seed in (("one", 0), ("two", 1)):
        write_toy_model(
            tmp_path / name, domain="fluorescence", channels=4, head_channels=4, seed=seed
        )
        made = write_toy_calibration(tmp_path / name, samples=6, strange=name == "two", seed=seed)
        replace(made, about={"data": "fields", "units": 148 + seed}).write(tmp_path / name / FILE)
    options = {"psf_fwhm": 2.0, **RUN, "samples": 6, "maps": ["sample", "risk", "ood"]}
    own = {"DAPI": tmp_path / "one", "*": tmp_path / "two"}
    image = open_image(path, time=1)
    both = sciup.upscale(image, model=own, **options)
    alone = sciup.upscale(open_image(path, time=1, channel=1), model=own["*"], **options)
    np.testing.assert_array_equal(both.risk[0, 1], alone.risk[0, 0])
    both.save(out)
    stored = open_image(out / "ood")
    box = Box((0, 0), (80, 72))
    assert [np.unique(stored.load((0, c), box)[0]).tolist() for c in range(2)] == [[0], [1]]
    facts = read_provenance(out)
    assert [said["outside"] for said in facts["domain"]] == [False, True]
    assert sorted(facts["risk"]["models"]) == ["one", "two"]
    assert set(facts["risk"]["bounds"]) == {None}
    assert facts["risk"]["interval"] is None
    assert all(one["interval"]["scaling"] > 0 for one in facts["risk"]["models"].values())
    assert len(set(facts["fingerprint"]["calibration"])) == 2
    page = write_report(out, model=f"{own['DAPI']},{own['*']}")[0].read_text()
    assert "each with its own calibration" in page
    assert "nothing is certified" not in page
    assert "hold together with" not in page
    assert "no bound holds for all" in page
    own = [one["alarm"] for one in facts["risk"]["models"].values()]
    assert facts["risk"]["alarm"] == {
        "threshold": min(a["threshold"] for a in own), "alpha": max(a["alpha"] for a in own)
    }  # fmt: skip
    assert "calibrated on 148 + 149 independent fields (fields)" in risk_words(both)
    assert "148 + 149 independent fields" in page
    assert "one + two" in page


def test_numbers_are_trusted_by_the_calibration_of_their_plane(folder, models):
    result = sciup.upscale(
        open_image(folder / "cells.ome.zarr", time=0), model=models, psf_fwhm=2.0, **RUN
    )
    where = {"regions": "circle(20,20,4)", "samples": 4}
    one = sciup.measure(result, "intensity", plane="0,1", **where)
    assert "two has no measurements.json" in one.meta["coverage"]
    every = sciup.measure(result, "intensity", plane="all", **where)
    assert "several models" in every.meta["coverage"]
