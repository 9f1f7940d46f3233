"""A Hugging Face hub of one model, on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Hub(SimpleHTTPRequestHandler):
    """The part of the hub's protocol that downloads need, for the files of one folder."""

    asked: list[str] = []

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        assert self.directory
        file = self.path.removeprefix("/owner/name/resolve/").partition("/")[2]
        path = Path(self.directory, file)
        body = path.read_bytes() if path.is_file() else b""
        if self.path.startswith("/owner/name/"):
            self.asked.append(f"{self.command} {file}")
        self.send_response(200 if body else 404)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        if not body:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a hub whose model "owner/name" is a folder."""
    Hub.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
