"""The single-pixel camera as a task."""

from __future__ import annotations

from dataclasses import replace

import torch

from idmcli.operators import Hadamard
from idmcli.operators.hadamard import pattern_rows
from idmcli.tasks.hadamard import TASK, HadamardOptions

SHAPE = (1, 32, 16)


def sequencies(operator: Hadamard) -> torch.Tensor:
    """(M, 2): the changes of sign of each pattern down a column and along a row."""
    places = pattern_rows("sequency-2d", (32, 16)).argsort()[operator.index]
    return torch.stack([places // 16, places % 16], 1)


def test_the_ratio_is_the_share_of_the_patterns() -> None:
    assert len(TASK.operator(HadamardOptions(), SHAPE, "a").index) == 128
    assert len(TASK.operator(HadamardOptions(ratio=0.1), SHAPE, "a").index) == 51
    assert len(TASK.operator(HadamardOptions(ratio=1e-9), SHAPE, "a").index) == 1
    assert TASK.amount(TASK.operator(HadamardOptions(), SHAPE, "a")).text == "25.0 % of the patterns"


def test_the_constant_pattern_is_shown_and_coarse_ones_more_often() -> None:
    for seed in range(5):
        operator = TASK.operator(HadamardOptions(seed=seed, ratio=0.2), SHAPE, "a")
        far = sequencies(operator).square().sum(1)
        assert 0 in far and (far < 64).sum() > 0.3 * len(far) and far.max() > 400


def test_patterns_come_from_the_seed_and_the_name_and_from_nothing_else() -> None:
    one = TASK.operator(HadamardOptions(), SHAPE, "a")
    assert torch.equal(one.index, TASK.operator(HadamardOptions(), (3, 32, 16), "a").index)
    for other in (TASK.operator(HadamardOptions(), SHAPE, "b"), TASK.operator(HadamardOptions(seed=1), SHAPE, "a")):
        assert not torch.equal(one.index, other.index)
    sequency = TASK.operator(HadamardOptions(order="sequency"), SHAPE, "a")
    assert sequency.order == "sequency" and torch.equal(sequency.index.sort().values, one.index.sort().values)
    assert sequency.patterns is not None and bool((sequency.patterns.diff() > 0).all())


def test_the_coarsest_patterns_have_the_fewest_changes_of_sign() -> None:
    options = HadamardOptions(patterns="coarsest", ratio=0.25)
    operator = TASK.operator(options, SHAPE, "a")
    far = sequencies(operator).square().sum(1)
    others = set(range(512)) - set(operator.index.tolist())
    rest = Hadamard(SHAPE, torch.tensor(sorted(others)))
    assert far.max() <= sequencies(rest).square().sum(1).min()
    assert torch.equal(operator.index, TASK.operator(replace(options, seed=3), SHAPE, "b").index)
