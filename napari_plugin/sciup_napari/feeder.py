"""Wishes become windows; in the child process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from sciup_napari.messages import Core, Got, Made, Wish
from sciup_napari.window_source import Windows

KEPT = 3
"""Orders that stay open: going back to the last layer costs nothing."""

Key = tuple[str, Core, bool]
"""Token, core, and whether a few draws are enough."""


class Feeder:
    """Makes the windows that are wished for, in as many threads as their source has.

    A window is on its way from when it is begun until the viewer has told that it has it. What is
    on its way is not begun again, however often it is wished for: a wish can cross a window.

    Parameters
    ----------
    send : callable
        Called with each `Made`.
    fail : callable
        Called with the exception where there is none.
    """

    def __init__(self, send: Callable[[Made], None], fail: Callable[[Exception], None]) -> None:
        self._send, self._fail = send, fail
        self._open: OrderedDict[str, Windows] = OrderedDict()
        self._token = ""
        self._cores: list[Core] = []  # of the last wish, not begun yet
        self._quick: list[Core] = []  # those to be made quickly first
        self._making: set[Key] = set()
        self._on_the_way: set[Key] = set()
        self._changed = threading.Condition()
        threading.Thread(target=self._feed, daemon=True).start()

    def keep(self, token: str, make: Callable[[], Windows]) -> None:
        """Have something ready that makes the windows of a token."""
        with self._changed:
            known = token in self._open
        windows = None if known else make()
        with self._changed:
            if windows is not None:
                self._open[token] = windows
            self._open.move_to_end(token)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
            self._changed.notify_all()

    def wish(self, wish: Wish) -> None:
        """Make these windows next; earlier wishes are void."""
        with self._changed:
            self._token = wish.token
            self._cores, self._quick = list(wish.cores), list(wish.quick)
            self._changed.notify_all()

    def got(self, got: Got) -> None:
        """The viewer has a window; it may wish for it again when it has forgotten it."""
        with self._changed:
            self._on_the_way.discard((got.token, got.core, got.quick))

    def _feed(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._can_begin)
                key = self._next()
                windows = self._open[key[0]]
                if key in self._on_the_way or (*key[:2], False) in self._on_the_way:
                    continue
                self._making.add(key)
                self._on_the_way.add(key)
            future = windows.submit(windows.quick if key[2] else windows.make, key[1])
            future.add_done_callback(partial(self._made, key))

    def _can_begin(self) -> bool:
        windows = self._open.get(self._token)
        return bool(self._cores) and windows is not None and len(self._making) < windows.threads

    def _next(self) -> Key:
        quick = bool(self._quick)
        return self._token, (self._quick if quick else self._cores).pop(0), quick

    def _made(self, key: Key, future: Future[Any]) -> None:
        with self._changed:
            self._making.discard(key)
            self._changed.notify_all()
        error: Exception | None = None
        try:
            maps = future.result()
            if maps is not None:
                self._send(Made(key[0], key[1], maps))
                return
        except Exception as caught:  # noqa: BLE001 (told, not raised: the viewer goes on)
            error = caught
        with self._changed:  # nothing will come
            self._on_the_way.discard(key)
        if error is not None:
            self._fail(error)
