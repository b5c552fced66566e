"""A web server on this machine that gives parts of files and counts the bytes it gives."""

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Served:
    """What was asked for: `requests` as (path, bytes given).

    `fail` answers 503 that many times; `told` is the length that HEAD says, if it is another;
    `silent` are the seconds before every answer.
    """

    address: str
    requests: list = field(default_factory=list)
    ranges: bool = True
    fail: int = 0
    told: int | None = None
    silent: float = 0.0

    def bytes_of(self, *parts):
        """Bytes given of files whose path holds one of some words."""
        return sum(n for path, n in self.requests if not parts or any(p in path for p in parts))


class Handler(BaseHTTPRequestHandler):
    """Answers of a server that has `folder` and `served`."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body):
        served = self.server.served
        time.sleep(served.silent)
        if served.fail > 0:
            served.fail -= 1
            return self.give(503, b"", {})
        file = Path(self.server.folder) / self.path.lstrip("/")
        if not file.is_file():
            return self.give(404, b"", {})
        data, asked = file.read_bytes(), self.headers.get("Range")
        heads = {"Accept-Ranges": "bytes"} if served.ranges else {}
        heads["Last-Modified"] = formatdate(file.stat().st_mtime, usegmt=True)
        if not body and served.told is not None:
            data = data[: served.told]
        if not asked or not served.ranges:
            return self.give(200, data, heads, body)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start = int(first) if first else len(data) - int(last)
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        heads["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return self.give(206, data[start:stop], heads, body)

    def give(self, status, data, heads, body=True):
        given = self.path, len(data)
        if body:
            self.server.served.requests.append(given)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **heads}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            if body:
                self.wfile.write(data)
            self.wfile.flush()
        except ConnectionError:  # nobody wants the rest
            self.server.served.requests.remove(given)
            self.close_connection = True


@contextmanager
def serve(folder, handler=Handler):
    """Serve the files of a folder at ``http://127.0.0.1:PORT``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.folder, server.served = folder, Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
