"""``idm env``: what a bug report needs."""

from __future__ import annotations

import shutil

import typer

from idmcli.cli.options import output_flags, output_of
from idmcli.environment import environment

CPU_BUILD = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cpu"


@output_flags
def env(context: typer.Context) -> None:
    """Show versions, devices and threads."""
    output, values = output_of(context), environment()
    gpus = len(values["devices"]) - 1
    found = advice(values["cuda"], gpus, gpu=shutil.which("nvidia-smi") is not None)
    values |= {"advice": found} if found else {}
    text = {name: ", ".join(value) if isinstance(value, list) else value for name, value in values.items()}
    width = max(map(len, text))
    output.result(values, [f"{name:<{width}}  {value or '-'}" for name, value in text.items()])


def advice(cuda: str | None, devices: int, *, gpu: bool) -> str:
    """The advice for a build of PyTorch that does not fit the machine; empty where it does.

    Args:
        cuda: the version of CUDA that PyTorch was built for; None for CPUs alone.
        devices: the number of GPUs that PyTorch sees.
        gpu: whether the machine has the tools of NVIDIA's driver.
    """
    if cuda is None and gpu:
        return "this PyTorch is for CPUs alone; for the GPU: pip install --force-reinstall torch"
    if cuda is not None and not devices and not gpu:
        return f"this PyTorch is for GPUs, and there is none; a smaller one: {CPU_BUILD}"
    if cuda is not None and not devices:
        return "PyTorch sees no GPU, though there is a driver: compare what `nvidia-smi` says with the version of CUDA"
    return ""
