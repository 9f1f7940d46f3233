"""Versions, devices and threads: what a report of a problem, or of a comparison, needs."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from idmcli import __version__

PACKAGES = ("torch", "diffusers", "numpy", "safetensors", "pillow", "imageio", "tifffile", "pydantic", "typer", "rich")


def environment() -> dict[str, Any]:
    """Versions, devices and threads by name; None for what is not there."""
    import torch

    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "idm": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{package: _version(package) for package in PACKAGES},
        "cuda": torch.version.cuda,
        "devices": ["cpu", *devices],
        "threads": torch.get_num_threads(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
