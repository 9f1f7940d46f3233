"""Atomic writing: the old file or the new one, nothing else, whatever happens."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from idmcli.errors import InputError, ResourceError
from idmcli.io.atomic import atomic_path, ensure_writable, write_bytes, write_text


def test_writes_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    write_bytes(target, b"one")
    write_bytes(target, b"two")
    write_text(tmp_path / "b.txt", "é\n")
    assert target.read_bytes() == b"two"
    assert (tmp_path / "b.txt").read_bytes() == "é\n".encode()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.bin", "b.txt"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_bytes(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("stop", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, stop: type[BaseException]) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(stop), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise stop
    assert target.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_every_failing_system_call_is_a_resource_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(ResourceError, match=str(tmp_path)) as caught:
            write_bytes(target, b"new")
    assert os.strerror(code) in caught.value.message
    assert "MiB are free" in caught.value.message
    assert caught.value.hint
    assert target.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["a.bin"]


def test_a_real_write_limit(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ResourceError, match="File too large"):
            write_bytes(target, bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == ["a.bin"]


def test_a_library_error_without_errno_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mode"), atomic_path(tmp_path / "a.png"):
        raise OSError("cannot write this mode")


def test_wrong_targets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_bytes(tmp_path, b"")
    write_bytes(tmp_path / "file", b"")
    with pytest.raises(ResourceError, match="file"):
        write_bytes(tmp_path / "file" / "below", b"")


def test_kill_leaves_a_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    size = 300_000
    code = (
        "import sys; from pathlib import Path; from idmcli.io.atomic import write_bytes\n"
        f"while True:\n  for c in b'xy': write_bytes(Path(sys.argv[1]), bytes([c]) * {size})"
    )
    for delay in (0.0, 0.003, 0.011):
        process = subprocess.Popen([sys.executable, "-c", code, str(target)])
        deadline = time.monotonic() + 20
        while not target.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert target.read_bytes() in (b"x" * size, b"y" * size)
        target.unlink()


def test_ensure_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_writable(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []
    write_text(tmp_path / "new" / "deep" / "file", "made then")
    (tmp_path / "file").write_text("")
    for wrong in ("file", "file/below"):
        with pytest.raises(InputError, match="is not a folder"):
            ensure_writable(tmp_path / wrong)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(ResourceError, match="Permission denied"):
        ensure_writable(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ResourceError, match="Permission denied"):
            ensure_writable(tmp_path)
        with pytest.raises(ResourceError, match="Permission denied"):
            write_bytes(tmp_path / "a.bin", b"")
    finally:
        tmp_path.chmod(0o700)
