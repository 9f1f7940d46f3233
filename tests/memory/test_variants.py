"""The four variants of a network that learns its own sampling, at the authors' batch and crop."""

from __future__ import annotations

import pytest

from idmcli.config import load_config
from idmcli.evaluation.published import published_variant
from idmcli.memory.variants import variants


def test_csnet_plus_beside_the_paper_s_table_6() -> None:
    found = variants(load_config("csnet-plus").config, lambda *switches: None)
    peaks = {variant.name: variant.memory.peak / 2**20 for variant in found}
    expected = {"plain": 2627, "reversible": 1623, "injectors": 3980, "reversible, injectors": 2238}
    assert peaks == pytest.approx(expected, rel=0.05)  # temporaries are those of one version of PyTorch
    parameters = {variant.name: variant.memory.parameters for variant in found}
    assert parameters["plain"] == 4 * 1_419_008
    assert parameters["injectors"] == 4 * 1_420_613
    assert all(variant.fitting is None for variant in found)


@pytest.mark.parametrize(
    ("kind", "reversible", "injectors", "psnr", "gigabytes"),
    [
        ("rk-ccsnet", False, False, 38.03, 1.3),
        ("rk-ccsnet", True, False, 38.07, 0.6),
        ("rk-ccsnet", False, True, 38.91, 1.5),
        ("csnet-plus", True, True, 39.77, 2.2),
    ],
)
def test_the_published_figures(kind: str, reversible: bool, injectors: bool, psnr: float, gigabytes: float) -> None:
    found = published_variant(kind, reversible, injectors)
    assert found is not None
    assert (found["psnr_db"], found["memory_gb"]) == (psnr, gigabytes)
    assert published_variant("idm", reversible, injectors) is None
