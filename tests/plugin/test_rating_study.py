"""Blind rating without a viewer: plans, pictures, answers on the disk."""

import csv
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from astropy.io import fits

from sciup.errors import InputError, OptionError, OutputError, ResumeError
from sciup_napari.rating import record
from sciup_napari.rating.pictures import FIELD, as_shown, open_picture
from sciup_napari.rating.plan import fingerprint, plan
from sciup_napari.rating.record import COLUMNS, Log, read_ratings
from sciup_napari.rating.study import open_study

IMAGES = [f"i{n}" for n in range(9)]
METHODS = ["bicubic", "net", "other", "truth"]


def made(**options):
    options = {"task": "scores", "seed": 0, "rater": "Ann"} | options
    return plan(IMAGES, METHODS, "truth", **options)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for method in METHODS:
        (tmp_path / method).mkdir()
        for image in IMAGES[:4]:
            tifffile.imwrite(
                tmp_path / method / f"{image}.tif", rng.normal(9, 1, (20, 24)).astype("f4")
            )
    return tmp_path


# -- plans --------------------------------------------------------------------------------------


def test_every_method_is_shown_once_per_image_and_equally_often_in_each_block():
    first = [t for t in made() if not t.repeat]
    assert Counter((t.image, t.method) for t in first) == Counter(
        (i, m) for i in IMAGES for m in METHODS
    )
    for start in range(0, len(first), len(IMAGES)):
        block = first[start : start + len(IMAGES)]
        assert {t.image for t in block} == set(IMAGES)
        counts = Counter(t.method for t in block)
        assert max(counts.values()) - min(counts.get(m, 0) for m in METHODS) <= 1


@pytest.mark.parametrize("task", ["scores", "choice"])
@pytest.mark.parametrize("seed", range(20))
def test_an_image_never_follows_itself_and_repeats_come_late(task, seed):
    trials = made(task=task, seed=seed)
    assert all(a.image != b.image for a, b in pairwise(trials))
    repeats = [n for n, t in enumerate(trials) if t.repeat]
    assert len(repeats) == round(0.1 * (len(trials) - len(repeats)))
    for n in repeats:
        earlier = [
            k for k, t in enumerate(trials[:n])
            if (t.image, t.method) == (trials[n].image, trials[n].method)
        ]  # fmt: skip
        assert len(earlier) == 1
        assert n - earlier[0] > len(trials) // 4


def test_sides_are_balanced_and_exchanged_for_repeats():
    trials = made(task="choice")
    for method in METHODS[:3]:
        sides = Counter(t.truth_side for t in trials if t.method == method and not t.repeat)
        assert abs(sides["left"] - sides["right"]) == 1  # of nine
    side = {(t.image, t.method): t.truth_side for t in trials if not t.repeat}
    assert all(t.truth_side != side[t.image, t.method] for t in trials if t.repeat)
    assert "truth" not in {t.method for t in trials}


def test_the_order_is_the_same_for_the_same_rater_only():
    assert made() == made()
    assert made() == made(rater="ANN")
    others = [made(rater="Bob"), made(seed=1), made(task="choice")]
    assert len({fingerprint(t) for t in [made(), *others]}) == 4


def test_over_raters_no_method_has_a_favoured_place():
    place = Counter()
    for rater in range(300):
        trials = [t for t in made(rater=str(rater)) if not t.repeat]
        place.update(t.method for t in trials[:1])
    assert all(45 < place[m] < 105 for m in METHODS)  # 75 expected, 4 sigma


def test_a_choice_needs_a_truth():
    with pytest.raises(OptionError, match="truth"):
        plan(IMAGES, METHODS, None, task="choice", seed=0, rater="Ann")


# -- folders ------------------------------------------------------------------------------------


def test_a_study_is_found_and_its_own_answers_are_not_a_method(folder):
    (folder / "ratings").mkdir()
    (folder / ".git").mkdir()
    (folder / "truth" / "notes.txt").write_text("")
    study = open_study(folder)
    assert (study.methods, study.truth) == (tuple(METHODS), "truth")
    assert study.images == tuple(IMAGES[:4])
    assert list(study.check(pixels=True)) == IMAGES[:4]
    assert open_study(folder, truth="net").truth == "net"
    assert open_study(folder, truth=None).truth is None


def test_formats_may_differ_between_methods(folder):
    values = tifffile.imread(folder / "net" / "i0.tif")
    (folder / "net" / "i0.tif").unlink()
    fits.writeto(folder / "net" / "i0.fits", values)
    study = open_study(folder)
    assert list(study.check(pixels=True)) == IMAGES[:4]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: (f / "net" / "i1.tif").unlink(), "lacks i1"),
        (lambda f: (f / "net" / "i9.tif").write_bytes(b""), "lacks i9"),
        (lambda f: (f / "net" / "i1.fits").write_bytes(b""), "both called 'i1'"),
        (lambda f: tifffile.imwrite(f / "net" / "i1.tif", np.ones((9, 9))), "9 x 9 px"),
        (lambda f: tifffile.imwrite(f / "net" / "i1.tif", np.ones((3, 20, 24))), "several planes"),
        (lambda f: (f / "net" / "i1.tif").write_bytes(b"II*\0" + b"\7" * 50), "i1.tif"),
        (lambda f: (f / "net" / "i1.tif").write_bytes(b""), "empty"),
    ],
)
def test_folders_that_do_not_fit_are_refused_with_their_place(folder, spoil, told):
    spoil(folder)
    with pytest.raises(InputError, match=told):
        list(open_study(folder).check(pixels=True))


def test_folders_without_methods_or_images_or_that_truth(tmp_path, folder):
    with pytest.raises(InputError, match="no folder"):
        open_study(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no folders"):
        open_study(folder / "net")
    with pytest.raises(OptionError, match="bicubic, net"):
        open_study(folder, truth="gold")
    for path in folder.glob("*/*.tif"):
        path.unlink()
    with pytest.raises(InputError, match="no images"):
        open_study(folder)


# -- pictures -----------------------------------------------------------------------------------


def test_all_methods_share_stretch_field_and_mask():
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 10, (50, 50)).astype("f4")
    dim = truth - 20
    dim[3, 3] = np.nan
    shown = as_shown({"truth": truth, "dim": dim}, "truth", sky=False)
    assert shown["truth"][3, 3] == shown["dim"][3, 3] == 0
    inside = (shown["dim"] > 0) & (shown["truth"] < 1)
    step = (shown["truth"] - shown["dim"])[inside]
    assert np.ptp(step) < 1e-5  # one linear stretch: the same flux difference everywhere
    assert step.mean() > 0.2
    pooled = as_shown({"truth": truth, "dim": dim}, None, sky=False)
    assert pooled["dim"].mean() > shown["dim"].mean()


@pytest.mark.parametrize("value", [np.nan, 0.0, 7.0, 1e30])
@pytest.mark.parametrize("sky", [False, True])
def test_empty_and_constant_pictures_can_be_shown(value, sky):
    flat = np.full((8, 8), value, "f4")
    shown = as_shown({"a": flat, "b": flat}, "a", sky=sky)
    assert np.isfinite(shown["a"]).all()


def test_a_large_image_shows_the_same_field_to_everybody(tmp_path):
    noise = np.random.default_rng(0).random((900, 1000), "f4")
    for method in ("a", "b"):
        (tmp_path / method).mkdir()
        tifffile.imwrite(tmp_path / method / "x.tif", noise)
    shown = [open_study(tmp_path, seed=seed).field("x") for seed in (0, 0, 1)]
    assert shown[0]["a"].shape == (FIELD, FIELD)
    assert np.array_equal(shown[0]["a"], shown[0]["b"])
    assert np.array_equal(shown[0]["a"], shown[1]["a"])
    assert not np.array_equal(shown[0]["a"], shown[2]["a"])


def test_png_in_grey_and_colour(tmp_path):
    from skimage.io import imsave

    rng = np.random.default_rng(0)
    for name, shape in {"grey": (9, 8), "rgb": (9, 8, 3), "rgba": (9, 8, 4)}.items():
        values = rng.integers(0, 255, shape, dtype="u1")
        imsave(tmp_path / f"{name}.png", values, check_contrast=False)
        picture = open_picture(tmp_path / f"{name}.png")
        assert picture.shape == ((9, 8) if name == "grey" else (9, 8, 3))
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    with pytest.raises(InputError, match="bad"):
        open_picture(tmp_path / "bad.png")


# -- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["scores", "choice"])
def test_answers_come_back_as_they_were_given(folder, task):
    log = Log(open_study(folder), "Ann Lee", task)
    given = []
    while not log.finished:
        given.append(("12345", ("left", "right"))[task == "choice"][log.position % 2])
        log.answer(given[-1], 1.25)
    found = read_ratings(log.path)
    assert [a.given for a in found.answers] == given
    assert tuple(a.trial for a in found.answers) == log.trials
    assert (found.rater, found.task, found.planned, found.backs) == (
        "Ann Lee", task, len(log.trials), 0,
    )  # fmt: skip
    with log.path.open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS


def test_a_rater_goes_on_where_she_was_and_another_gets_a_file_of_his_own(folder):
    first = Log(open_study(folder), "Ann", "scores")
    for _ in range(5):
        first.answer("3", 1)
    again = Log(open_study(folder), "ann", "scores")
    assert (again.position, again.trials) == (5, first.trials)
    again.answer("4", 1)
    assert len(read_ratings(again.path).answers) == 6
    other = Log(open_study(folder), "Bob", "scores")
    assert other.position == 0
    assert other.path != again.path


def test_back_takes_one_answer_away_and_is_logged(folder):
    log = Log(open_study(folder), "Ann", "scores")
    with pytest.raises(OptionError):
        log.back()
    log.answer("1", 1)
    log.answer("2", 1)
    log.back()
    assert not log.can_go_back
    with pytest.raises(OptionError):
        log.back()
    assert not Log(open_study(folder), "Ann", "scores").can_go_back  # nor after a restart
    log.answer("5", 1)
    found = read_ratings(log.path)
    assert [a.given for a in found.answers] == ["1", "5"]
    assert found.backs == 1
    assert len(log.path.read_text().splitlines()) == 5


KILLED = """
import os, sys
from sciup_napari.rating.record import Log
from sciup_napari.rating.study import open_study
log = Log(open_study(sys.argv[1]), "Ann", "scores")
for n in range(int(sys.argv[2])):
    log.answer("4", 1.0)
os.kill(os.getpid(), 9)
"""


def test_nothing_is_lost_when_the_program_is_killed(folder):
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, str(folder), "4"], check=False)
        assert done.returncode == -9
    assert Log(open_study(folder), "Ann", "scores").position == 8


def test_an_answer_is_on_the_disk_before_the_next_trial(folder, monkeypatch):
    forced = []
    monkeypatch.setattr(record.os, "fsync", lambda n: forced.append(os.fstat(n).st_size))
    log = Log(open_study(folder), "Ann", "scores")
    for _ in range(3):
        log.answer("3", 1)
        assert forced[-1] == log.path.stat().st_size
    assert len(forced) == 3


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_judged_again(folder, cut):
    log = Log(open_study(folder), "Ann", "scores")
    for _ in range(3):
        log.answer("3", 1)
    data = log.path.read_bytes()
    log.path.write_bytes(data[:-cut])
    again = Log(open_study(folder), "Ann", "scores")
    assert again.position == 2
    again.answer("5", 1)
    assert [a.given for a in read_ratings(again.path).answers] == ["3", "3", "5"]


def test_every_cut_of_a_file_can_be_gone_on_with(folder):
    log = Log(open_study(folder), "Ann", "scores")
    for _ in range(2):
        log.answer("3", 1)
    data = log.path.read_bytes()
    for size in range(0, len(data), 7):
        log.path.write_bytes(data[:size])
        again = Log(open_study(folder), "Ann", "scores")
        again.answer("5", 1)
        assert len(read_ratings(again.path).answers) == again.position


@pytest.mark.parametrize(
    ("old", "new"),
    [(",3,1", ",6,1"), ("answer,", "guess,"), ("\n2026", "\nx"), (",2,", ",9,"), ("Ann", "Bob")],
)
def test_a_damaged_line_is_told_with_its_number(folder, old, new):
    log = Log(open_study(folder), "Ann", "scores")
    for _ in range(3):
        log.answer("3", 1)
    lines = log.path.read_text().splitlines()
    if old == "\n2026":
        lines[2] = "x"
    else:
        lines[2] = lines[2].replace(old, new, 1)
    log.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="line 3"):
        read_ratings(log.path)


def test_a_changed_study_is_not_gone_on_with(folder):
    Log(open_study(folder), "Ann", "scores").answer("3", 1)
    with pytest.raises(ResumeError, match="seed 0"):
        Log(open_study(folder, seed=1), "Ann", "scores")
    (folder / "net").rename(folder / "net2")
    with pytest.raises(ResumeError, match="the same images"):
        Log(open_study(folder), "Ann", "scores")


def test_two_windows_cannot_write_one_file(folder):
    one, two = (Log(open_study(folder), "Ann", "scores") for _ in range(2))
    one.answer("3", 1)
    with pytest.raises(ResumeError, match="another program"):
        two.answer("3", 1)
    assert len(read_ratings(one.path).answers) == 1


def test_a_full_disk_is_told_and_leaves_no_half_row(folder, monkeypatch):
    log = Log(open_study(folder), "Ann", "scores")
    log.answer("3", 1)
    whole = log.path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(record.os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            log.answer("4", 1)
    assert log.path.read_bytes() == whole
    log.answer("4", 1)
    assert [a.given for a in read_ratings(log.path).answers] == ["3", "4"]


@pytest.mark.parametrize("name", ["", "  ", "../x", "=cmd", "a/b", "x" * 41])
def test_names_that_are_no_file_names_are_refused(folder, name):
    with pytest.raises(OptionError):
        Log(open_study(folder), name, "scores")


@pytest.mark.parametrize("given", ["0", "6", "left", ""])
def test_answers_that_do_not_exist_are_refused(folder, given):
    with pytest.raises(OptionError):
        Log(open_study(folder), "Ann", "scores").answer(given, 1)


def test_the_study_needs_neither_qt_nor_napari_nor_torch():
    code = (
        "import sys, sciup_napari.rating.__main__;"
        "print(sorted({'torch', 'napari', 'qtpy'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
