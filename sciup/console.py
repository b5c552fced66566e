"""The terminal: everything for people goes to standard error through one console."""

from __future__ import annotations

from rich.console import Console

console = Console(stderr=True, highlight=False)

__all__ = ["console"]
