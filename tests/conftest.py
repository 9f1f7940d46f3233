"""Fixtures for the whole suite."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from idmcli.cli.output import Output

hypothesis_settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any speed")

ROOT = Path(__file__).parent.parent
SETTINGS = ["NO_COLOR", "FORCE_COLOR", "TERM", "PYTHONDONTWRITEBYTECODE"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the terminal or the settings of whoever runs it; processes keep what they have compiled."""
    for name in [name for name in os.environ if name.startswith("IDM_")] + SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture(autouse=True)
def no_progress_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test in this process depends on how long something takes. Those in others say ``--quiet``."""
    assert Output.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Output.__init__.__kwdefaults__, "interval", math.inf)


@pytest.fixture(autouse=True)
def plain_signals() -> Iterator[None]:
    """No test, and no process that it starts, ignores what nohup, cron or a shell's ``&`` ignore."""
    plain = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in plain.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def idm(tmp_path: Path) -> Run:
    """Run ``idm`` as a process of its own in an empty folder; keyword arguments go into its environment."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "idmcli", *map(os.fspath, arguments)],
            cwd=tmp_path,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=500,
        )

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
