"""Killed again and again, at random, a run on a cluster ends with the same pixels."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from astropy.io import fits
from toy_run import assert_equal_results

import sciup
from sciup.engine.run import work_folder
from sciup.errors import SciupError
from sciup.io import open_image
from sciup.io._provenance import read_provenance
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (9000, 60)  # nine shards at 2x
OPTIONS = {"samples": 2, "psf_fwhm": 2.4, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chaos")
    fits.PrimaryHDU(star_field(SHAPE, stars=200), fits.Header({"BUNIT": "adu"})).writeto(
        folder / "in.fits"
    )
    write_toy_model(folder / "model", channels=8, head_channels=8)
    return folder


def start(place, out):
    """The command line with two workers, in a session of its own."""
    command = [
        sys.executable, "-m", "sciup.cli", "upscale", str(place / "in.fits"), str(out), "--model",
        str(place / "model"), "--samples", "2", "--psf-fwhm", "2.4", "--device", "cpu",
        "--precision", "fp32", "--workers", "2", "--resume",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(Path(sciup.__file__).parents[1])}
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def kill_someone(run, rng):
    """A worker, or the client with the scheduler in it, or all at once; says who."""
    workers = [
        p for p in psutil.Process(run.pid).children(recursive=True)
        if "spawn_main" in " ".join(p.cmdline())
    ]  # fmt: skip
    who = rng.choice(["worker", "worker", "client", "all"])
    if who == "worker" and workers:
        rng.choice(workers).kill()
    elif who == "all":
        os.killpg(run.pid, signal.SIGKILL)
    else:
        run.kill()
        who = "client"
    return who


def unfinished_opens(out):
    """What can be opened but says not how it was made, which is written last of all."""
    found = []
    for path in work_folder(out).glob("result*"):
        with contextlib.suppress(SciupError):
            open_image(path)
            if "fingerprint" not in read_provenance(path):
                found.append(path)
    return found


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two CPUs")
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("suffix", "kills"),
    [
        (".ome.zarr", 2),
        pytest.param(".ome.zarr", 20, marks=pytest.mark.slow),
        pytest.param(".fits", 20, marks=pytest.mark.slow),
    ],
)
def test_random_kills_change_nothing(suffix, kills, place, tmp_path):
    whole = sciup.upscale(place / "in.fits", model=place / "model", **OPTIONS)
    straight = whole.save(tmp_path / f"straight{suffix}")
    rng = random.Random(kills)
    done = rounds = 0
    while done < kills:  # a run that is quick is done again
        rounds += 1
        assert rounds <= 3 * kills
        out = tmp_path / f"out{rounds}{suffix}"
        done += until_finished(place, out, kills - done, rng)
        assert_equal_results(out, straight)


def until_finished(place, out, kills, rng):
    """Start, kill and start again until the result is there; how often somebody was killed."""
    killed = starts = 0
    while not out.exists() or work_folder(out).exists():
        starts += 1
        assert starts < 3 * kills + 10
        run = start(place, out)
        try:
            while run.poll() is None:
                if killed < kills and (work_folder(out) / "journal").exists():
                    time.sleep(rng.uniform(0, 0.8))
                    if run.poll() is None:
                        kill_someone(run, rng)
                        killed += 1
                        assert not unfinished_opens(out)
                time.sleep(0.1)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
    return killed
