"""From options to a Dask client: own processes, a running scheduler, or jobs of a batch system."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sciup.errors import ClusterError, MissingPackageError, OptionError

SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
}
"""Names in a cluster file, and the classes of dask-jobqueue."""

KEYS = ("system", "jobs", "options")

START = "start one with `dask scheduler` and workers with `dask worker ADDRESS`"

WAIT = 30.0
"""Seconds to wait for a scheduler to answer."""


@contextmanager
def connect(
    workers: int | None = None,
    scheduler: str | None = None,
    cluster: Path | None = None,
    *,
    device: str = "cpu",
) -> Iterator[Any]:
    """A client for one of three kinds of workers, or None where nothing was asked for.

    Parameters
    ----------
    workers : int, optional
        Start so many processes on this machine and share its CPUs, or its GPUs, among them.
    scheduler : str, optional
        Address of a running scheduler, ``tcp://host:8786``, or its scheduler file.
    cluster : Path, optional
        YAML file with ``system`` (see `SYSTEMS`), ``jobs`` (how many) and ``options`` (arguments
        of the class of dask-jobqueue).
    device : {"cpu", "cuda"}
        With "cuda" every process on this machine gets a GPU of its own.

    Yields
    ------
    dask.distributed.Client or None

    Raises
    ------
    OptionError
        If more than one is given, or a value is not possible.
    ClusterError
        If the scheduler does not answer.
    MissingPackageError
        If distributed or dask-jobqueue is not installed.
    """
    given = {"--workers": workers, "--scheduler": scheduler, "--cluster": cluster}
    chosen = [name for name, value in given.items() if value is not None]
    if not chosen:
        yield None
        return
    if len(chosen) > 1:
        raise OptionError(f"{' and '.join(chosen)} were given", "one of them")
    _need("distributed")
    _quieten()
    if scheduler is not None:
        with _join(scheduler) as client:
            yield client
        return
    pool = _own(workers, device) if workers is not None else _batch(read_cluster(cluster))
    from distributed import Client

    with pool, Client(pool) as client:
        yield client


def _need(package: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingPackageError(
            f"{package.replace('_', '-')} is not installed", fix='pip install "sciup[cluster]"'
        )


def _quieten() -> None:
    """Dask tells of every connection; only what goes wrong is for the user."""
    import dask

    # after two deaths a shard is tried again with less, which we do ourselves
    dask.config.set({"distributed.scheduler.allowed-failures": 1})
    # read when distributed is imported; later it is the loggers that count
    with dask.config.set({"logging.distributed": "warning"}):
        import distributed  # noqa: F401
    logging.getLogger("distributed").setLevel(logging.WARNING)


def _own(workers: int, device: str) -> Any:
    """Processes on this machine, each with its share of the CPUs, or with a GPU."""
    from distributed import LocalCluster

    cpus = len(os.sched_getaffinity(0))
    if workers < 1 or workers > max(cpus, 1):
        raise OptionError(f"--workers {workers}", f"1 to {cpus}, the number of CPUs")
    if device == "cuda":
        _need("dask_cuda")
        from dask_cuda import LocalCUDACluster

        return LocalCUDACluster(n_workers=workers)
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=cpus // workers,
        processes=True,
        dashboard_address=":0",
    )


@contextmanager
def _join(scheduler: str) -> Iterator[Any]:
    """Client of a running scheduler, which goes on when the client leaves."""
    from distributed import Client

    is_file = scheduler.endswith(".json")
    found = {"scheduler_file": scheduler} if is_file else {"address": scheduler}
    if is_file and not Path(scheduler).is_file():  # Dask would wait for it for ever
        raise ClusterError(f"there is no scheduler file {scheduler}", fix=START)
    try:
        client = Client(**found, timeout=WAIT)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no scheduler answers at {scheduler} ({type(error).__name__})",
            "tcp://HOST:PORT, or the JSON file of `dask scheduler --scheduler-file`",
            START,
        ) from None
    with client:
        yield client


def read_cluster(path: Path | None) -> dict[str, Any]:
    """A cluster file with its keys checked.

    Raises
    ------
    OptionError
        If it cannot be read, or a key is unknown or missing.
    """
    import difflib

    import yaml

    try:
        found = yaml.safe_load(Path(str(path)).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise OptionError(f"--cluster {path} cannot be read: {error}", "a YAML file") from None
    allowed = f"{', '.join(KEYS)}; systems: {', '.join(SYSTEMS)}"
    if not isinstance(found, dict) or "system" not in found:
        raise OptionError(f"{path} lacks the key 'system'", allowed)
    for key in found:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            raise OptionError(
                f"{path} has the unknown key {key!r}", allowed, f"write {near[0]!r}" if near else ""
            )
    if found["system"] not in SYSTEMS:
        raise OptionError(f"{path} asks for the system {found['system']!r}", ", ".join(SYSTEMS))
    jobs = found.setdefault("jobs", 1)
    if not isinstance(jobs, int) or jobs < 1:
        raise OptionError(f"{path} asks for {jobs!r} jobs", "1 or more")
    if not isinstance(found.setdefault("options", {}), dict):
        raise OptionError(f"options of {path} are no table", "key: value")
    return found


def _batch(found: dict[str, Any]) -> Any:
    """Workers as jobs of a batch system."""
    _need("dask_jobqueue")
    import dask_jobqueue

    kind = getattr(dask_jobqueue, SYSTEMS[found["system"]])
    try:
        pool = kind(**found["options"])
    except (TypeError, ValueError) as error:
        raise OptionError(
            f"dask-jobqueue refuses the options for {found['system']}: {error}",
            "arguments of dask_jobqueue." + SYSTEMS[found["system"]],
        ) from None
    pool.scale(jobs=found["jobs"])
    return pool
