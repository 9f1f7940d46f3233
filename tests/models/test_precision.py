"""The precision that "auto" stands for."""

from __future__ import annotations

import pytest
import torch

from idmcli.config import Config, TrainingConfig
from idmcli.models import precision
from idmcli.models.precision import choose_precision, has_bf16
from idmcli.runs.precision import settle

CPU = torch.device("cpu")


def test_automatic_precision_follows_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, expected in ((True, "bf16"), (False, "float32")):
        monkeypatch.setattr(precision, "has_bf16", lambda device, found=found: found)
        assert choose_precision("auto", CPU) == expected
        assert [choose_precision(name, CPU) for name in ("float32", "bf16")] == ["float32", "bf16"]
        assert settle(Config(training=TrainingConfig(precision="auto")), CPU).training.precision == expected


def test_a_cpu_has_bf16_by_either_of_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    for found in ((True, False), (False, True), (False, False)):
        for name, value in zip(names, found, strict=True):
            monkeypatch.setattr(torch.cpu, name, lambda value=value: value, raising=False)
        assert has_bf16(CPU) == any(found)
    for name in names:
        monkeypatch.delattr(torch.cpu, name)
    assert not has_bf16(CPU)
