"""Whether a method can foretell measurements that it did not get."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import idmcli as idm
from idmcli.methods.held_out import believed, share_of_the_guess, with_fewer
from idmcli.operators import MRI, Operator, Problem, add_noise
from tests.small import camera, random

OPERATOR = MRI((1, 64, 64), {"type": "random", "acceleration": 3, "centre_fraction": 0.1, "seed": 1})


def problem(x: Tensor, noise: float = 0.0) -> Problem[Operator]:
    return Problem(OPERATOR, add_noise(OPERATOR.A(x), noise, 0), noise)


def share(method: Callable[[Problem[Operator]], Tensor], of: Problem[Operator]) -> float:
    return share_of_the_guess(method, of, with_fewer(of))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_who_knows_the_image_is_believed(noise: float) -> None:
    assert share(lambda part: camera(64), problem(camera(64), noise)) == 1


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_who_makes_things_up_is_not(noise: float) -> None:
    x = camera(64)

    def stranger(part: Problem[Operator]) -> Tensor:
        """A+ y and, where nothing was measured, detail of its own."""
        made_up = 0.2 * random(1, 1, 64, 64, dtype=torch.float32)
        return part.operator.pinv(part.y) + made_up - part.operator.pinv(part.operator.A(made_up))  # type: ignore[attr-defined]

    assert share(stranger, problem(x, noise)) < 0.2


def test_the_share_is_the_best_factor() -> None:
    """Who guesses five times as much as there is keeps a fifth."""
    x = camera(64)

    def boastful(part: Problem[Operator]) -> Tensor:
        base: Tensor = part.operator.pinv(part.y)  # type: ignore[attr-defined]
        return base + 5 * (x - base)

    found = share(boastful, problem(x))
    assert found == pytest.approx(1 / 5, abs=1e-4)
    base = OPERATOR.pinv(OPERATOR.A(x))
    torch.testing.assert_close(believed(base + 5 * (x - base), problem(x), found), x, rtol=0, atol=1e-3)


def test_a_faint_guess_is_let_pass() -> None:
    x = torch.full((1, 1, 64, 64), 0.5)
    noisy = x + 1e-3 * random(1, 1, 64, 64, dtype=torch.float32)
    assert share(lambda part: noisy, problem(x)) == 1


def test_operators_that_need_all_they_measure_are_left_alone() -> None:
    few = MRI((1, 8, 8), {"type": "radial", "fraction": 0.3})
    x = camera(8)
    assert few.hold_out(0.15) is None
    assert share(lambda part: 2 * x, Problem(few, few.A(x))) == 1


def test_progress_goes_on_through_the_test() -> None:
    """The test counts as one sample more, though it is shorter."""
    m, done = idm.sense(camera(64)[0, 0].numpy(), "mri", ratio=0.3), []
    idm.reconstruct(m, method="hqs", iterations=12, progress=lambda *step: done.append(step))
    assert done == [*((n, 24) for n in range(1, 13)), *((12 + 12 * n // 10, 24) for n in range(1, 11))]
