"""Messages over a pair of byte streams: a length, then a pickle.

Both ends are processes of the same user with the same program, started one by the other; nobody
else can write to the pipes between them.
"""

from __future__ import annotations

import pickle
import struct
from threading import Lock
from typing import Any, BinaryIO

LENGTH = struct.Struct("<Q")


class Pipe:
    """Send from any thread, receive from one.

    Parameters
    ----------
    incoming, outgoing : binary file
        Buffered.

    Examples
    --------
    >>> import io
    >>> stream = io.BytesIO()
    >>> Pipe(stream, stream).send({"a": 1})
    >>> _ = stream.seek(0)
    >>> Pipe(stream, stream).receive()
    {'a': 1}
    """

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._lock = Lock()

    def send(self, message: Any) -> None:
        """Send one message; OSError or ValueError if the other end is gone."""
        data = pickle.dumps(message, protocol=5)
        with self._lock:
            self._outgoing.write(LENGTH.pack(len(data)))
            self._outgoing.write(data)
            self._outgoing.flush()

    def receive(self) -> Any:
        """The next message; EOFError if the other end is gone."""
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        return pickle.loads(self._read(length))  # noqa: S301 (from our own child or parent)

    def _read(self, count: int) -> bytes:
        data = self._incoming.read(count)
        if len(data) < count:
            raise EOFError("the other end of the pipe is closed")
        return data
