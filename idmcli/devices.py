"""The device to compute on, by the name that users give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idmcli.errors import InputError

if TYPE_CHECKING:
    from torch import device as Device


def choose_device(name: str, threads: int | None = None) -> Device:
    """The device called ``name`` ("auto": the first GPU, or the CPU), with ``threads`` CPU threads.

    Raises:
        InputError: no such device; there is no silent fall-back to another one.
    """
    import re

    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if found else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,4})?", name):
        raise InputError(f"--device {name} is not a device", "choose auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= found:
        there = ", ".join(["cpu", *(f"cuda:{index}" for index in range(found))])
        raise InputError(f"--device {name} is not there; found: {there}", "--device auto finds the best one")
    return device
