"""A Hugging Face hub of one model, on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OLD, NEW = "0" * 40, "1" * 40  # commits


class Hub(SimpleHTTPRequestHandler):
    """The part of the hub's protocol that downloads need, for the files of one folder.

    Attributes:
        asked: the requests for files, "GET unet/config.json" for example.
        commit: of the newest revision.
    """

    asked: list[str] = []
    commit = OLD

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        if self.path.startswith("/api/models/owner/name"):
            self.answer_about_the_model()
        else:
            self.answer_with_a_file()

    def answer_about_the_model(self) -> None:
        assert self.directory
        sizes = {
            path.relative_to(self.directory).as_posix(): path.stat().st_size
            for path in Path(self.directory).rglob("*")
            if path.is_file()
        }
        about: Any = {"id": "owner/name", "sha": self.commit, "siblings": [{"rfilename": name} for name in sizes]}
        if "/tree/" in self.path:
            about = [{"type": "file", "path": name, "size": sizes[name], "oid": name} for name in sizes]
        self.send(200, json.dumps(about).encode())

    def answer_with_a_file(self) -> None:
        assert self.directory
        file = self.path.removeprefix("/owner/name/resolve/").partition("/")[2]
        path = Path(self.directory, file)
        body = path.read_bytes() if path.is_file() else b""
        if self.path.startswith("/owner/name/"):
            self.asked.append(f"{self.command} {file}")
        self.send(200 if body else 404, body)

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{sha256(body).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        if status == 404:
            known = self.path.startswith("/owner/name/")
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a hub whose model "owner/name" is a folder."""
    Hub.asked.clear()
    Hub.commit = OLD
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def in_another_process(code: str, folder: Path, **env: str) -> str:
    """What a script prints in a process of its own, for the hub's client reads its environment once.

    Raises:
        AssertionError: it failed; with what it wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NO_PROXY": "127.0.0.1", **env},
        capture_output=True,
        text=True,
        timeout=500,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def prior_found(name: str, folder: Path, **env: str) -> Path:
    """:func:`idmcli.priors.find_prior` in a process of its own."""
    code = f"from idmcli.priors import find_prior; print(find_prior({name!r}))"
    return Path(in_another_process(code, folder, **env))
