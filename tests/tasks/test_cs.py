"""Block compressed sensing as a task."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from idmcli.errors import ConfigError
from idmcli.tasks.cs import TASK, CompressedSensingOptions
from tests.small import default_method

SHAPE = (1, 18, 21)
SMALL = CompressedSensingOptions(block=8)


@pytest.mark.parametrize("ratio", [0.1, 0.25, 1.0])
def test_the_ratio_counts_measurements_per_pixel(ratio: float) -> None:
    operator = TASK.operator(replace(SMALL, ratio=ratio), (3, 16, 24), "a")
    found, text = TASK.amount(operator)
    assert found == operator.A(torch.rand(1, 3, 16, 24)).numel() / (3 * 16 * 24)
    assert ratio <= found < ratio + 1 / 64
    assert text == f"{100 * found:.1f} % measurements per pixel"


def test_without_a_ratio_it_is_the_default_one() -> None:
    asked = TASK.ratio(SMALL)
    default, same = (TASK.operator(options, SHAPE, "a") for options in (SMALL, replace(SMALL, ratio=asked)))
    assert torch.equal(default.phi, same.phi)


def test_the_matrix_comes_from_the_seed_and_the_permutation_from_seed_and_name() -> None:
    a, again, b = (TASK.operator(SMALL, SHAPE, item) for item in "aab")
    other = TASK.operator(replace(SMALL, seed=1), SHAPE, "a")
    assert all(op.permutation is not None for op in (a, again, b, other))
    assert torch.equal(a.phi, again.phi) and torch.equal(a.permutation, again.permutation)  # type: ignore[arg-type]
    assert torch.equal(a.phi, b.phi) and not torch.equal(a.permutation, b.permutation)  # type: ignore[arg-type]
    assert not torch.equal(a.phi, other.phi)


def test_colours_have_permutations_of_their_own() -> None:
    colour = TASK.operator(SMALL, (3, *SHAPE[1:]), "a")
    assert colour.permutation is not None and len({tuple(row) for row in colour.permutation.tolist()}) == 3


def test_ratios_that_measure_nothing() -> None:
    with pytest.raises(ConfigError, match="a ratio of 1e-13 measures nothing") as caught:
        TASK.operator(replace(SMALL, ratio=1e-13), SHAPE, "a")
    smallest = 1 / 64
    assert f"{smallest:g}" in caught.value.hint
    assert TASK.operator(replace(SMALL, ratio=smallest), SHAPE, "a").measurement_shape[2] == 1


def test_networks_are_bound_to_the_permutation() -> None:
    shuffled, blocks = (TASK.operator(replace(SMALL, permutation=kind), SHAPE, "a") for kind in ("global", "none"))
    assert TASK.identity(shuffled) != TASK.identity(blocks)
    assert (default_method(shuffled), default_method(blocks)) == ("vamp", "hqs")


@pytest.mark.parametrize(
    ("shape", "ratio", "block"), [((1, 30, 40), 0.3, 10), ((1, 134, 200), 0.1, 20), ((1, 40, 33), 0.3, 11)]
)
def test_a_smaller_block_comes_near_the_ratio(shape: tuple[int, int, int], ratio: float, block: int) -> None:
    """Pictures are padded to whole blocks, and what is measured of the padding counts."""
    options = CompressedSensingOptions(ratio=ratio)
    far = TASK.amount(TASK.operator(options, shape, "a")).ratio
    found = re.fullmatch(r"with --set operator.block=(\d+) they would be ([\d.]+) %", TASK.nearer(options, shape))
    assert found is not None and int(found[1]) == block
    near = TASK.amount(TASK.operator(replace(options, block=block), shape, "a")).ratio
    assert float(found[2]) == pytest.approx(100 * near, abs=0.05)
    assert abs(near - ratio) <= 0.15 * ratio < abs(far - ratio)
    assert TASK.nearer(CompressedSensingOptions(ratio=ratio), (1, 64, 64)) == ""
    assert TASK.nearer(CompressedSensingOptions(block=3, ratio=0.07), (1, 5, 7)) == ""  # smaller ones measure nothing
