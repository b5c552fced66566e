"""The training loop: exact resume, moving average of the weights, live curves, sample sheets.

Runs with torch, numpy and safetensors alone (recipes with keypoints: scipy, too); pictures are left
out where matplotlib is missing.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from sciup.errors import InterruptedRunError, MissingPackageError, ModelError, OutputError
from sciup.physics.projection import Projection
from sciup.train.degrade import Batch, Degrader
from sciup.train.kernels import pick
from sciup.train.objective import generator
from sciup.train.pack import Pack
from sciup.train.recipe import Recipe
from sciup.train.state import CHECKPOINT, WEIGHTS, State
from sciup.train.watch import Watch

log = logging.getLogger("sciup")

SAVE_EVERY = 180.0
"""Seconds between two checkpoints."""

Progress = Callable[[int, dict[str, float]], None]
"""Called after every step with the steps done and the latest row of the curves."""


@dataclass(frozen=True)
class Settings:
    """How to train; what is learned depends on none of these but the kind of device.

    Attributes
    ----------
    minutes : float, optional
        Stop (resumable) after this time.
    device : str
        ``cpu`` or ``cuda``.
    workers : int
        Processes that make batches; 0: the training process itself.
    report : int
        Steps between two lines of the curves.
    sheet : int
        Steps between two sheets of samples; 0: none.
    """

    minutes: float | None = None
    device: str = "cpu"
    workers: int = 0
    report: int = 50
    sheet: int = 500


class _Batches(Dataset[Batch]):
    """Batch i at index i; with a pool the first batches come back again and again."""

    def __init__(self, degrader: Degrader, pool: int) -> None:
        self.degrader, self.pool = degrader, pool
        self.kept: dict[int, Batch] = {}

    def __getitem__(self, step: int) -> Batch:
        if not self.pool:
            return self.degrader.batch(step)
        i = step % self.pool
        if i not in self.kept:
            self.kept[i] = self.degrader.batch(i)
        return self.kept[i]


def _batches(
    degrader: Degrader, steps: range, workers: int, stop: threading.Event
) -> Iterator[Batch]:
    """Batches in order; in other processes a few ahead."""
    loader = DataLoader(
        _Batches(degrader, degrader.recipe.texture.pool),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
    )
    try:
        with _deaf():
            batches = iter(loader)
        yield from batches
    except (RuntimeError, OSError, EOFError) as error:
        if stop.is_set():  # the signal reached them, too
            return
        if "DataLoader worker" not in str(error):
            raise
        raise OutputError(
            f"a process that makes batches died: {str(error).splitlines()[0]}",
            fix="give it more memory (also /dev/shm), or fewer --workers, or a smaller --batch",
        ) from None


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started here ignore Ctrl-C for good: it is for their parent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Set on Ctrl-C or SIGTERM, so that a step is never torn; a second Ctrl-C stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, _: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        log.info("%s: writing a checkpoint", signal.Signals(number).name)
        stop.set()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def train(
    pack: Pack, run: Path, settings: Settings | None = None, progress: Progress | None = None
) -> Path:
    """Train a generator, or go on where a run stopped.

    Parameters
    ----------
    pack : Pack
        Recipe and data.
    run : Path
        Folder of the run; afterwards a model folder, with curves and sample sheets.
    settings : Settings, optional
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    Path
        ``weights.safetensors`` of the moving average, written at every checkpoint.

    Raises
    ------
    OutputError
        If the folder cannot be written or the disk is full.
    ResumeError
        If the folder holds a run of another recipe or other images.
    ModelError
        If training diverges.
    InterruptedRunError
        On Ctrl-C or SIGTERM, after a checkpoint was written.
    """
    settings = settings or Settings()
    _has_teacher(pack.recipe)
    _claim(run)
    state = _state(pack, settings.device)
    state.resume(run)
    degrader = Degrader(pack.recipe, pack.truths, pack.kernels, state.margin, pack.pairs)
    bank = pack.kernels.projection(pack.recipe).to(torch.device(settings.device))
    watch = Watch(run, _shown(pack, degrader), bank, settings.sheet)
    watch.resume(state.step)
    with _interruptible() as stop:
        steps = range(state.step, pack.recipe.steps)
        batches = _batches(degrader, steps, settings.workers, stop)
        _go(state, batches, watch, settings, progress, stop)
    if stop.is_set() and state.step < pack.recipe.steps:
        state.save(run)
        raise InterruptedRunError(
            f"stopped at step {state.step} of {pack.recipe.steps}; nothing is lost",
            fix="run the same command again to go on",
        )
    return run / WEIGHTS


def _state(pack: Pack, device: str) -> State:
    """What is trained, before its first step."""
    if pack.recipe.architecture == "texture":
        from sciup.train.texture import TextureState

        return TextureState(pack, device)
    return State(pack, device)


def _shown(pack: Pack, degrader: Degrader) -> Degrader:
    """What sheets show: crops that were held out where there are any."""
    if pack.shown is None:
        return degrader
    return Degrader(pack.recipe, pack.shown, pack.kernels, degrader.margin)


def _go(
    state: State,
    batches: Iterator[Batch],
    watch: Watch,
    settings: Settings,
    progress: Progress | None,
    stop: threading.Event,
) -> None:
    """Step by step until the end, the time limit or an interruption; saves then and now."""
    recipe, run = state.recipe, watch.run
    began = saved = time.monotonic()
    before = state.seconds
    for batch in batches:
        row = _step(state, batch.to(settings.device), watch.bank, settings.report, run)
        now = time.monotonic()
        state.seconds = before + now - began
        done = state.step == recipe.steps
        if row:
            watch.line({"step": state.step, "seconds": state.seconds} | row)
        if progress is not None:
            progress(state.step, watch.latest)
        over = settings.minutes is not None and now - began > 60 * settings.minutes
        if settings.sheet and (done or over or state.step % settings.sheet == 0):
            watch.pictures(state)
        if done or over or now - saved > SAVE_EVERY:
            state.save(run)
            saved = now
        if over and not done:
            log.info("out of time at step %d; the same command goes on", state.step)
        if over or stop.is_set():
            break


def _step(
    state: State, batch: Batch, bank: Projection, report: int, run: Path
) -> dict[str, float] | None:
    """One step, and every `report` steps a line for the curves."""
    rng = generator(state.recipe.seed, state.step, state.device)
    tell = (state.step + 1) % report == 0 or state.step + 1 == state.recipe.steps
    try:
        return state.learn(batch, pick(bank, batch.kernel), rng, tell)
    except ModelError:
        if not (run / CHECKPOINT).is_file():
            state.save(run)
        raise


def _has_teacher(recipe: Recipe) -> None:
    """See that what finds keypoints can be imported, before a process that makes batches fails."""
    if recipe.architecture != "progressive" or not recipe.progressive.heatmaps:
        return
    try:
        import sciup.keypoints  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"finding keypoints in the truths needs scipy: {error}",
            fix="run pip install scipy, or train with `progressive: {heatmaps: 0, attention: 0}`",
        ) from None


def _claim(run: Path) -> None:
    """Make the folder of the run and see that it can be written, before hours are spent."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        (run / "probe.part").touch()
        (run / "probe.part").unlink()
    except OSError as error:
        raise OutputError(
            f"the folder {run} cannot be written: {error.strerror}", fix="choose another --out"
        ) from None
