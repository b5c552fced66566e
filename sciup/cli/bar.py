"""A progress bar over things that are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sciup.console import console


@contextmanager
def bar(label: str, things: str) -> Iterator[Callable[[int, int], None]]:
    """A bar; call what it gives with the number of things done and in all."""
    columns = (
        TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn(things),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(label, total=None)

        def update(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield update


__all__ = ["bar"]
