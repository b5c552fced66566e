"""The little of S3 that reading needs, on this machine: buckets are folders."""

import threading
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from range_server import Handler, Served


class S3Handler(Handler):
    """GET with a range, HEAD and ListObjectsV2; `server.private` are buckets that want a key."""

    def answer(self, body):
        address = urlsplit(self.path)
        self.path = unquote(address.path)
        bucket, _, key = self.path.lstrip("/").partition("/")
        signed = "Credential=good/" in self.headers.get("Authorization", "")
        if "Authorization" in self.headers and not signed:
            return self.refuse(403, "InvalidAccessKeyId", body)
        if bucket in self.server.private and not signed:
            return self.refuse(403, "AccessDenied", body)
        folder = Path(self.server.folder) / bucket
        if not folder.is_dir():
            return self.refuse(404, "NoSuchBucket", body)
        if not key:
            return self.list(folder, parse_qs(address.query))
        if not (folder / key).is_file():
            return self.refuse(404, "NoSuchKey", body)
        return super().answer(body)

    def refuse(self, status, code, body):
        told = f"<Error><Code>{code}</Code><Message>{code} of a test</Message></Error>"
        self.give(status, told.encode(), {"Content-Type": "application/xml"}, body)

    def list(self, folder, query):
        prefix = query.get("prefix", [""])[0]
        slash = query.get("delimiter", [""])[0]
        files, folders = [], set()
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            name = file.relative_to(folder).as_posix()
            rest = name.removeprefix(prefix)
            if name.startswith(prefix) and slash and slash in rest:
                folders.add(prefix + rest.partition(slash)[0] + slash)
            elif name.startswith(prefix):
                files.append((name, file.stat().st_size))
        told = "<ListBucketResult><IsTruncated>false</IsTruncated>"
        for name, size in files:
            told += f"<Contents><Key>{escape(name)}</Key><Size>{size}</Size></Contents>"
        for name in sorted(folders):
            told += f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
        self.give(200, (told + "</ListBucketResult>").encode(), {"Content-Type": "application/xml"})


@contextmanager
def serve_s3(folder, private=()):
    """Serve the folders in a folder as buckets at an endpoint ``http://127.0.0.1:PORT``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), S3Handler)
    server.daemon_threads = True
    server.folder, server.private = folder, private
    server.served = Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
