"""``idm env``: what a bug report needs."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from idmcli import __version__
from idmcli.cli.options import output_flags, output_of

PACKAGES = ("torch", "diffusers", "numpy", "safetensors", "pillow", "imageio", "tifffile", "pydantic", "typer", "rich")


@output_flags
def env(context: typer.Context) -> None:
    """Show versions, devices and threads."""
    output, values = output_of(context), environment()
    text = {name: ", ".join(value) if isinstance(value, list) else value for name, value in values.items()}
    width = max(map(len, text))
    output.result(values, "\n".join(f"{name:<{width}}  {value or '-'}" for name, value in text.items()))


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
