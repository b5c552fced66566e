"""A line in napari's activity dock."""

from __future__ import annotations

from napari.utils import progress


class Bar:
    """Shows how far something is, until it is closed. To make one lets events happen.

    Parameters
    ----------
    words : str
        What goes on.
    """

    def __init__(self, words: str) -> None:
        self._telling = False
        self._bar = progress(total=1, desc=words)

    def at(self, done: int, total: int) -> None:
        """So much is done, of all."""
        if self._telling:  # it lets events happen, which may bring the next step, and so on
            return
        self._telling = True
        self._bar.total = total
        self._bar.update(done - self._bar.n)
        self._telling = False

    def close(self) -> None:
        """Take it away."""
        self._bar.close()
