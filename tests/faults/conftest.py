"""Every fault happens in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def work_here(folder: Path) -> Path:
    """The folder to work in."""
    return folder
