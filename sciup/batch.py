"""Many images in one run: go on after single failures, and say at the end what became of each."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sciup.api import Result
from sciup.batch_items import Item, changed, check_options, items_of, plate_of
from sciup.engine.field import FieldJob
from sciup.engine.stopping import stoppable
from sciup.errors import OutputError, SciupError
from sciup.io._plate import PlateWriter
from sciup.io._zarr_writer import output_errors

Status = Literal["done", "failed", "stopped"]
Open = Callable[["Item"], Result]
Told = Callable[["Outcome"], None]

SUMMARY = "batch.json"
MOST_AT_ONCE = 16
"""Images that are worked on at a time on a cluster."""


@dataclass(frozen=True)
class Outcome:
    """What became of one image; `error` says why it failed."""

    input: str
    output: str
    status: Status
    seconds: float
    error: str = ""


def run_batch(
    items: Sequence[Item],
    upscale: Open,
    out: Path,
    *,
    plate: PlateWriter | None = None,
    overwrite: bool = False,
    client: Any = None,
    told: Told = lambda _: None,
) -> list[Outcome]:
    """Make all results, several at a time on a cluster, and a summary in JSON.

    What is there already is kept, what is unfinished goes on.

    Parameters
    ----------
    items : sequence of Item
    upscale : callable
        From an item to its lazy result.
    out : Path
        Folder of the summary; beside it, for a plate.
    plate : PlateWriter, optional
        The plate that the results belong to; it lists each when it is done.
    overwrite : bool
        Replace results that are there.
    client : dask.distributed.Client, optional
    told : callable
        Called with each outcome.

    Raises
    ------
    InterruptedRunError
        If it was stopped from outside.
    OutputError
        If the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if plate is not None:
            plate.begin()
    except OSError as error:
        raise OutputError(f"{out} cannot be made: {error.strerror}") from None
    summary = summary_of(out)
    stop = threading.Event()
    outcomes: list[Outcome] = []

    def one(item: Item) -> Outcome:
        began = time.monotonic()
        status, error = _one(item, upscale, overwrite, client, stop)
        return Outcome(item.input, str(item.output), status, time.monotonic() - began, error)

    workers = 1 if client is None else min(max(len(client.nthreads()), 1), MOST_AT_ONCE)
    with ThreadPoolExecutor(workers, "sciup-batch") as pool, stoppable(str(out)):
        futures = [pool.submit(one, item) for item in items]
        try:
            for future in as_completed(futures):
                outcomes.append(future.result())
                if plate is not None and outcomes[-1].status == "done":
                    plate.add([str(Path(outcomes[-1].output).relative_to(plate.path))])
                told(outcomes[-1])
                _write_summary(summary, outcomes, len(items))
        except BaseException:  # also a full disk: the others would only fail, too, one by one
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return outcomes


def _one(
    item: Item, upscale: Open, overwrite: bool, client: Any, stop: threading.Event
) -> tuple[Status, str]:
    def progress(_done: int, _total: int) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    try:
        progress(0, 0)
        item.output.parent.mkdir(parents=True, exist_ok=True)
        result = upscale(item)
        if item.field:
            result = Result(FieldJob.of(result.job))
        result.save(
            item.output,
            resume=not overwrite,
            overwrite=overwrite,
            progress=progress,
            client=client,
        )
    except SciupError as error:
        return ("stopped" if error.exit_code == 75 else "failed"), str(error)
    except KeyboardInterrupt:
        return "stopped", "stopped from outside"
    except Exception as error:  # noqa: BLE001 - one image must not end the others
        return "failed", f"{type(error).__name__}: {error}"
    return "done", ""


def summary_of(out: Path) -> Path:
    """Where the summary is: in the folder of the results, or beside the plate."""
    if not names_plate(out):
        return out / SUMMARY
    return out.with_name(f"{out.name.removesuffix('.zarr').removesuffix('.ome')}.{SUMMARY}")


def names_plate(out: Path) -> bool:
    """Whether a plate is asked for, not a folder of results."""
    return out.name.lower().endswith(".zarr")


def _write_summary(path: Path, outcomes: Sequence[Outcome], total: int) -> None:
    part = path.with_name(path.name + ".part")
    facts = {"images": total, "outcomes": [asdict(o) for o in outcomes]}
    with output_errors(path):
        part.write_text(json.dumps(facts, indent=2))
        part.replace(path)


__all__ = [
    "Item",
    "Outcome",
    "changed",
    "check_options",
    "items_of",
    "names_plate",
    "plate_of",
    "run_batch",
    "summary_of",
]
