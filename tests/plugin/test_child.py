"""The process that computes: its windows are those of a batch run, and it survives everything."""

import io
import queue
import signal
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import tifffile

import sciup
from sciup.engine.stopping import stoppable
from sciup.errors import InterruptedRunError
from sciup.io import open_image
from sciup.io._select import SelectedImage
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model
from sciup_napari.child import stop_run
from sciup_napari.link import Link
from sciup_napari.messages import (
    Done,
    Failed,
    Got,
    Made,
    Open,
    Opened,
    Order,
    Progress,
    Run,
    Source,
    Wish,
)
from sciup_napari.pipe import Pipe

PATIENCE = 240
SAMPLES = 3
STATED = {"psf_fwhm": 2.4, "gain": 1.0, "read_noise": 1.0, "background": 0.0}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images and models."""
    folder = tmp_path_factory.mktemp("child")
    stack = np.stack([cells((150, 140), seed=s) for s in range(3)])
    tifffile.imwrite(folder / "stack.tif", stack, metadata={"axes": "ZYX"})
    np.save(folder / "plane.npy", stack[1])
    rng = np.random.default_rng(0)
    np.save(folder / "large.npy", rng.poisson(50, (2000, 700)).astype(np.float32))
    for name in ("plain", "calibrated"):
        write_toy_model(
            folder / name, domain="fluorescence", scale=2, channels=4, head_channels=4, name=name
        )
    write_toy_calibration(folder / "calibrated", samples=SAMPLES)
    return folder


class Talk:
    """A link whose messages are waited for."""

    def __init__(self, link, **more):
        self.heard = queue.Queue()
        self.link = link(self.heard.put, **more)

    def next(self, kind=object, patience=PATIENCE):
        end = time.time() + patience
        while True:
            message = self.heard.get(timeout=max(end - time.time(), 0.01))
            if isinstance(message, Failed) and kind is not Failed:
                raise AssertionError(message)
            if isinstance(message, kind):
                return message


@pytest.fixture
def talk(shared_child):
    made = []

    def make(link=shared_child, **more):
        made.append(Talk(link, **more))
        return made[-1]

    yield make
    for one in made:
        one.link.close()


def order(place, model="plain", source=None, **more):
    source = source or Source(str(place / "stack.tif"), plane={"z": 1})
    return Order(source, str(place / model), samples=SAMPLES, instrument=STATED, **more)


def library(place, model="plain", **more):
    """The same by the library, on the whole stack."""
    return sciup.upscale(
        place / "stack.tif", model=place / model, samples=SAMPLES, **STATED, **more
    )


def test_windows_are_bit_for_bit_those_of_a_batch_run(place, talk):
    end = talk()
    end.link.send(Open(1, order(place, "calibrated")))
    facts = end.next(Opened)
    assert (facts.scale, facts.plane_shape, facts.calibrated) == (2, (150, 140), True)
    cores = ((0, 0), (128, 128))
    end.link.send(Wish(facts.token, cores))
    found = {m.core: m.maps for m in (end.next(Made), end.next(Made))}
    result = library(place, "calibrated", maps=("mean", "risk", "support", "std"))
    s, side = facts.scale, facts.core * facts.scale
    for name in ("mean", "risk", "support", "std"):
        whole = np.asarray(result._map(name)[1])
        for y, x in cores:
            part = whole[y * s : y * s + side, x * s : x * s + side]
            window = found[y, x][name]
            assert np.array_equal(window[: part.shape[0], : part.shape[1]], part, equal_nan=True)
            assert np.isnan(window[part.shape[0] :]).all()
    draws = found[0, 0]["draws"]
    assert draws.shape == (SAMPLES + 1, side, side)
    for k in (0, SAMPLES):
        whole = np.asarray(result.sample(k)[1])[:side, :side]
        assert np.array_equal(draws[k][: whole.shape[0], : whole.shape[1]], whole)


def test_what_is_believed_is_told_with_its_origin(place, talk):
    end = talk()
    end.link.send(Open(1, order(place)))
    facts = end.next(Opened)
    rows = {name: (value, origin) for name, value, _, origin, _ in facts.instrument}
    assert rows["psf_fwhm"] == ("2.4", "given")
    assert rows["bright"][1] == "estimated"
    assert not facts.calibrated
    assert "no calibration" in facts.words
    assert facts.calibration is None


def test_what_is_on_its_way_is_not_begun_again(place, talk):
    """A camera that moves slowly wishes for the same windows again and again."""
    end = talk()
    end.link.send(Open(1, order(place)))
    facts = end.next(Opened)
    cores = ((0, 0), (0, 128), (128, 0), (128, 128))
    for _ in range(20):
        end.link.send(Wish(facts.token, cores))
    made = [end.next(Made).core for _ in cores]
    end.link.send(Wish(facts.token, cores))  # crosses those that nobody has confirmed
    with pytest.raises(queue.Empty):
        end.next(Made, patience=1.5)  # more than one of them takes
    assert set(made) == set(cores)
    end.link.send(Got(facts.token, cores[0], quick=False))
    end.link.send(Wish(facts.token, cores))
    assert end.next(Made).core == cores[0]  # the viewer has forgotten it, and wants it again


def test_arrays_on_disk_give_the_same_as_files(place, talk):
    end = talk()
    end.link.send(Open(1, order(place)))
    first = end.next(Opened)
    end.link.send(Wish(first.token, ((0, 0),)))
    a = end.next(Made).maps["mean"]
    end.link.send(Open(2, order(place, source=Source(str(place / "plane.npy"), "npy"))))
    second = end.next(Opened)
    end.link.send(Wish(second.token, ((0, 0),)))
    b = end.next(Made).maps["mean"]
    # other noise, for it belongs to plane 1 of the stack and to plane 0 of the array: but one light
    assert np.nanmean(np.abs(a - b)) < 0.3 * np.nanmean(np.abs(a))
    values = np.load(place / "plane.npy")
    expected = sciup.upscale(values, model=place / "plain", samples=SAMPLES, **STATED).mean
    assert np.array_equal(b, np.asarray(expected)[:256, :256])


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (Source("/nowhere/at/all.fits"), {}, "no"),
        (None, {"tolerance": "often"}, "tolerance"),
        (None, {"device": "abacus"}, "device"),
        (None, {"model": "no-such-model"}, "model"),
    ],
)
def test_errors_are_told_and_the_child_lives_on(place, talk, source, options, words):
    end = talk()
    wrong = replace(order(place, source=source), **options)
    end.link.send(Open(7, wrong))
    failed = end.next(Failed)
    assert failed.number == 7
    assert words in failed.text
    assert not failed.details  # foreseen: no traceback
    end.link.send(Open(8, order(place)))
    assert end.next(Opened).number == 8


def test_a_run_is_the_file_that_the_library_writes(place, talk, tmp_path):
    end = talk()
    out = tmp_path / "out.fits"
    end.link.send(Run(3, order(place), str(out), roi="10:60,20:80"))
    first = end.next(Progress)
    assert first.number == 3
    assert end.next(Done).output == str(out)
    from astropy.io import fits

    alone = SelectedImage(open_image(place / "stack.tif"), {"z": 1})
    expected = sciup.upscale(
        alone, model=place / "plain", samples=SAMPLES, roi="10:60,20:80", **STATED
    )
    with fits.open(out) as hdus:
        found = np.squeeze(hdus["MEAN"].data)
    assert np.array_equal(found, np.squeeze(np.asarray(expected.mean)))


def test_a_run_that_is_interrupted_can_go_on(place, talk, tmp_path):
    out = tmp_path / "out.ome.zarr"
    run = Run(1, order(place, source=Source(str(place / "large.npy"), "npy")), str(out))
    end = talk()
    end.link.send(run)
    end.next(Progress)
    end.link.interrupt()
    assert "--resume" in end.next(Failed).text
    assert not out.exists()
    again = talk()
    again.link.send(replace(run, resume=True))
    assert again.next(Done).output == str(out)


def test_a_run_ends_with_its_viewer_and_can_go_on(place, talk, tmp_path):
    out = tmp_path / "out.ome.zarr"
    end = talk(Link)
    end.link.send(Run(1, order(place, source=Source(str(place / "large.npy"), "npy")), str(out)))
    end.next(Progress)
    end.link._process.stdin.close()  # as when the viewer is killed
    assert "--resume" in end.next(Failed).text
    assert end.link._process.wait(20) == 0
    assert not out.exists()


@pytest.mark.parametrize("windows", [False, True])
def test_a_run_is_stopped_without_signals_from_outside(monkeypatch, windows):
    if windows:
        monkeypatch.delattr(signal, "pthread_kill")
    threading.Timer(0.2, stop_run).start()

    def run():
        with stoppable("there"):
            for _ in range(500):
                time.sleep(0.01)

    with pytest.raises(InterruptedRunError, match="resume"):
        run()


def test_an_output_that_exists_is_not_touched(place, talk, tmp_path):
    out = tmp_path / "out.fits"
    out.write_text("mine")
    end = talk()
    end.link.send(Run(1, order(place), str(out)))
    assert "exists" in end.next(Failed).text
    assert out.read_text() == "mine"


def test_the_death_of_the_child_is_told_with_its_last_words(talk):
    command = (sys.executable, "-c", "import sys; print('no room', file=sys.stderr); sys.exit(9)")
    end = talk(command=command)
    failed = end.next(Failed)
    assert failed.number == -2
    assert "9" in failed.text
    assert "no room" in failed.details
    assert not end.link.alive
    end.link.send(Wish("", ()))  # nobody there: nothing happens


def test_a_closed_link_ends_the_child_and_says_nothing(talk):
    end = talk(Link)
    end.link.close()
    assert end.link._process.wait(20) != 0
    with pytest.raises(queue.Empty):
        end.next(patience=0.5)


def test_the_child_ends_with_the_viewer(place, talk):
    end = talk(Link)
    end.link.send(Open(1, order(place)))
    end.next(Opened)
    end.link._process.stdin.close()  # as when the viewer is killed
    assert end.link._process.wait(20) == 0


def test_a_pipe_that_breaks_in_mid_message_is_an_end():
    stream = io.BytesIO()
    Pipe(stream, stream).send(np.arange(10))
    cut = io.BytesIO(stream.getvalue()[:-3])
    with pytest.raises(EOFError):
        Pipe(cut, stream).receive()
