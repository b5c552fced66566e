"""Run a job to a finished output: plan, resume, compute, write, journal, finish."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sciup.engine.job import Job
from sciup.engine.provenance import compare, fingerprint, provenance
from sciup.engine.shard import Bench
from sciup.engine.stopping import machine_errors, stoppable
from sciup.engine.sums import checksums
from sciup.errors import (
    ClusterError,
    InputError,
    OutputError,
    ResumeError,
)
from sciup.geometry import Box
from sciup.io import OutputFormat, open_writer
from sciup.io._detect import url_of
from sciup.io._journal import Journal
from sciup.physics.psf import gaussian

log = logging.getLogger(__name__)

MOST_LOST = 0.25
"""Of the input that may be unreadable: more is no broken chunk but a broken disk."""

Progress = Callable[[int, int], None]
"""Called with the number of windows done and in all."""


def work_folder(output: Path) -> Path:
    """The folder in which an unfinished output grows."""
    return output.with_name(output.name + ".partial")


def output_format(output: Path, job: Job) -> OutputFormat:
    """By suffix; without a known one, FITS for FITS and OME-Zarr for the rest."""
    name = output.name.lower()
    if name.endswith((".fits", ".fit", ".fts")):
        return "fits"
    if name.endswith(".zarr"):
        return "ome-zarr"
    if name.endswith((".tif", ".tiff")):
        whole = output.name.partition(".")[0] + ".ome.zarr"
        raise OutputError(
            f"results are not written as TIFF: {output.name!r}", ".fits, .ome.zarr, .zarr",
            f"write {whole}, then run: sciup convert {whole} {output.name}",
        )  # fmt: skip
    if output.suffix:
        raise OutputError(
            f"the output name {output.name!r} has an unknown suffix", ".fits, .ome.zarr, .zarr"
        )
    return "fits" if job.image.format == "fits" else "ome-zarr"


def run(
    job: Job,
    output: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    client: Any = None,
) -> Path:
    """Compute a job into `output`.

    The result grows in ``OUTPUT.partial`` and is moved to its place when complete.

    Parameters
    ----------
    job : Job
    output : Path
        ``.fits`` file or ``.zarr`` folder.
    resume : bool
        Start, go on, or return at once if complete.
    overwrite : bool
        Replace an existing output.
    progress : callable, optional
        Called with the windows done and in all.
    client : dask.distributed.Client, optional
        Whose workers compute; they must see input, output and model under the same paths.

    Raises
    ------
    OutputError
        If the output exists, cannot be written, or does not fit on the disk.
    ResumeError
        If the unfinished or finished output is of another job.
    InterruptedRunError
        On Ctrl-C or SIGTERM; go on with ``resume=True``.
    """
    kind = output_format(output, job)
    work = work_folder(output)
    if not _prepare(job, output, work, kind, resume, overwrite):
        return output
    job = _pinned(job, work, kind)
    writer = open_writer(work, job.layout, kind)
    journal = Journal(work)
    with stoppable(str(work)), machine_errors(output, work_folder(output)):
        writer.create()
        _compute(job, work, kind, journal, client, progress)
        _check_complete(job, journal)
        lost = _lost(job, journal)
        psf = gaussian(4 * round(job.model.target_fwhm) + 9, job.model.target_fwhm)
        facts = provenance(job, kind)
        facts |= {"unreadable": lost} if lost else {}
        if job.calibrated is not None:
            facts["domain"] = _verdict(job, journal)
        facts["checksums"] = checksums(job, writer, journal)
        writer.finish(facts, {"psf": psf.astype(np.float32)})
        job.complete(writer.path)
        _move(writer.path, output, overwrite)
        shutil.rmtree(work)
    return output


def _prepare(
    job: Job, output: Path, work: Path, kind: OutputFormat, resume: bool, overwrite: bool
) -> bool:
    """Check the place of the output; False if it is complete already."""
    if output.exists():
        # a run killed after its last move has left a working folder without the result
        if resume and not open_writer(work, job.layout, kind).path.exists():
            _check_finished(job, output, kind)
            shutil.rmtree(work, ignore_errors=True)
            return False
        if not overwrite:
            use = "--resume --overwrite" if resume else "--overwrite, --resume"
            raise OutputError(
                f"the output {output} exists already", fix=f"use {use} or another name"
            )
    source = Path(job.image.source)
    if source.exists() and output.exists() and source.resolve() == output.resolve():
        raise OutputError(f"the output {output} is the input", fix="choose another name")
    if work.exists() and not resume:
        if not overwrite:
            raise OutputError(
                f"an unfinished output is at {work}",
                fix="use --resume to go on, --overwrite to start anew",
            )
        shutil.rmtree(work)
    _check_place(job, output, kind)
    return True


def _check_place(job: Job, output: Path, kind: OutputFormat) -> None:
    """The folder exists, is writable, and has room."""
    if url := url_of(str(output)):
        raise OutputError(f"{url} is not on this machine", "a local path", "write here, then copy")
    parent = output.absolute().parent
    if not parent.is_dir():
        raise OutputError(f"there is no folder {parent}", fix=f"create it: mkdir -p {parent}")
    if not os.access(parent, os.W_OK):
        raise OutputError(f"the folder {parent} is not writable", fix="choose another folder")
    layout = job.layout
    count = sum(int(np.prod(layout.shape_of(n), dtype=np.int64)) for n in layout.names)
    need = int(4 * count * (4 / 3 if kind == "ome-zarr" else 1))
    free = shutil.disk_usage(parent).free
    work = work_folder(output)
    if need > free and not work.exists():
        raise OutputError(
            f"the output needs up to {need / 1e9:.2f} GB, {parent} has {free / 1e9:.2f} GB free",
            fix="free some space, write fewer --maps or a smaller --roi, or choose another disk",
        )


def _check_finished(job: Job, output: Path, kind: OutputFormat) -> None:
    """A finished output counts as done only if it is of this job."""
    from sciup.io._provenance import read_provenance

    facts = read_provenance(output)
    compare(facts.get("fingerprint", {}), fingerprint(job, kind), output)
    if lost := facts.get("unreadable"):
        log.warning(
            "%s is complete, but %d parts of its input could not be read; --overwrite tries again",
            output,
            len(lost),
        )


def _pinned(job: Job, work: Path, kind: OutputFormat) -> Job:
    """Start or reopen a working folder; estimates of the first start are kept."""
    from dataclasses import replace

    from sciup.physics.instrument import Instrument

    path = work / "job.json"
    if path.is_file():
        try:
            stored = json.loads(path.read_text())
            before = dict(stored["fingerprint"])
            instruments = tuple(Instrument.from_json(i) for i in stored["instrument"])
        except (ValueError, KeyError, TypeError):
            raise ResumeError(f"{path} is damaged", fix="start anew with --overwrite") from None
        compare(before, fingerprint(job, kind), work)
        return replace(job, instruments=instruments)
    try:
        work.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(
            json.dumps(
                {
                    "fingerprint": fingerprint(job, kind),
                    "instrument": [i.as_json() for i in job.instruments],
                }
            )
        )
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{work} cannot be written: {error}") from None
    return job


def _compute(
    job: Job,
    work: Path,
    kind: OutputFormat,
    journal: Journal,
    client: Any,
    progress: Progress | None,
) -> None:
    """Make all shards, here or on the workers of a Dask client."""
    total, count = job.windows, 0

    def advance(by: int = 1) -> None:
        nonlocal count
        count = min(count + by, total)  # a group of cut-outs that was cut off is made again
        if progress is not None:
            progress(count, total)

    records = journal.read()
    if client is not None:
        from sciup.engine.cluster import compute

        compute(client, job, work, kind, records, advance)
        return
    bench = Bench.of(job, work, kind)
    # one shard is written while the next is computed; two at most are in memory
    with ThreadPoolExecutor(1, "sciup-writer") as writer:
        pending: Future[None] | None = None
        for task in job.tasks():
            made = bench.compute(task, records.get((task.number, task.index)), advance)
            if made is None:
                advance(job.windows_of(task))
                continue
            if pending is not None:
                pending.result()
            pending = writer.submit(bench.store, made)
            del made
        if pending is not None:
            pending.result()


def _check_complete(job: Job, journal: Journal) -> None:
    """Every shard has a record: nothing is finished on anybody's word."""
    made = journal.shards()
    missing = [task.index for task in job.tasks() if (task.number, task.index) not in made]
    if missing:
        raise ClusterError(
            f"{len(missing)} shards have no record, the first {missing[0]}",
            fix="go on with --resume; on NFS wait until all see the same folder",
        )


def _verdict(job: Job, journal: Journal) -> list[dict[str, Any]]:
    """What the badge of its model says of each plane."""
    found = []
    for plane, rows in sorted(journal.scores().items()):
        by = job.at(plane).calibrated
        found += by.verdict({plane: rows}, job.instruments) if by else []
    return found


def _lost(job: Job, journal: Journal) -> list[dict[str, Any]]:
    """Parts of the input that could not be read; an error if they are more than single chunks."""
    found = journal.unreadable()
    boxes = [Box(tuple(start), tuple(stop)) for _, start, stop in found]
    whole = job.region.size * len(job.instruments)
    share = sum(box.intersect(job.region).size for box in boxes) / whole
    if share > MOST_LOST:
        raise InputError(
            f"{share:.0%} of {job.image.source} cannot be read",
            f"up to {MOST_LOST:.0%}, which is masked and listed",
            "check the disk or put the file back with its date (cp -p), then go on with --resume",
        )
    if found:
        log.warning(
            "%d parts of the input (%.2g %%) cannot be read and are masked; the provenance lists"
            " them under 'unreadable'",
            len(found),
            100 * share,
        )
    return [{"plane": plane, "start": start, "stop": stop} for plane, start, stop in found]


def _move(path: Path, output: Path, overwrite: bool) -> None:
    """Put the finished result in its place."""
    if output.exists() and overwrite:
        if output.is_dir():
            shutil.rmtree(output)
        else:
            output.unlink()
    os.replace(path, output)
