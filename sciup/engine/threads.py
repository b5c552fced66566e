"""Threads of this process that compute windows, each with one torch thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import torch

T = TypeVar("T")


@cache
def threads_of_torch() -> int:
    """Threads that the user or the machine grants to torch; asked before the pool exists."""
    return torch.get_num_threads()


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Threads for windows, shared by everything in this process that computes.

    Each has one torch thread of its own. That is quicker than two threads for one window, because
    little of a window is large enough to be shared, and its bits are the same on every machine.
    """
    threads_of_torch()
    return ThreadPoolExecutor(threads, "sciup", torch.set_num_threads, (1,))


def alone(function: Callable[..., T], *arguments: Any) -> T:
    """Call with one torch thread: torch may have given this one the number of another since."""
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return function(*arguments)


os.register_at_fork(after_in_child=pool.cache_clear)  # threads do not survive a fork

__all__ = ["alone", "pool", "threads_of_torch"]
