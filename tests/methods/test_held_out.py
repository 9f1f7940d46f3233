"""Whether a method can be believed where nothing was measured, by a run that lacks some measurements."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import idmcli as idm
from idmcli.methods.held_out import Fewer, believed, foretold, repeated, share_of_the_guess, unmeasured, with_fewer
from idmcli.operators import MRI, LinearOperator, ParallelBeamCT, Problem, add_noise
from tests.small import camera, random

OPERATOR = MRI((1, 64, 64), {"type": "random", "acceleration": 3, "centre_fraction": 0.1, "seed": 1})
VIEWS = ParallelBeamCT((1, 64, 64), 20)


def problem(x: Tensor, noise: float = 0.0, operator: LinearOperator = OPERATOR) -> Problem:
    return Problem(operator, add_noise(operator.A(x), noise, 0), noise)


def runs(method: Callable[[Problem], Tensor], of: Problem) -> tuple[Tensor, Tensor, Problem, Fewer]:
    """What a method makes of a problem, and of fewer measurements, with these."""
    fewer = with_fewer(of)
    assert fewer is not None
    return method(of), method(fewer.problem), of, fewer


def alike(x: Tensor, again: Tensor, of: Problem) -> float:
    return repeated(unmeasured(x, of), unmeasured(again, of))


def with_detail(of: Problem, seed: int) -> Tensor:
    """A+ y and, where nothing was measured, other detail for each seed."""
    return of.operator.pinv(of.y) + unmeasured(0.2 * random(1, 1, 64, 64, dtype=torch.float32, seed=seed), of)


@pytest.mark.parametrize("operator", [OPERATOR, VIEWS], ids=["mri", "ct"])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_who_knows_the_image_is_believed(noise: float, operator: LinearOperator) -> None:
    assert share_of_the_guess(*runs(lambda part: camera(64), problem(camera(64), noise, operator))) == 1


@pytest.mark.parametrize("operator", [OPERATOR, VIEWS], ids=["mri", "ct"])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_who_always_makes_up_the_same_foretells_nothing(noise: float, operator: LinearOperator) -> None:
    x, again, of, fewer = runs(lambda part: with_detail(part, seed=1), problem(camera(64), noise, operator))
    assert alike(x, again, of) == 1
    assert share_of_the_guess(x, again, of, fewer) == foretold(again, of, fewer) < 0.2


def test_who_makes_up_something_else_each_time_repeats_nothing() -> None:
    """Detail that hangs on single measurements, in a method that foretells what was held out."""
    of = problem(camera(64))
    fewer = with_fewer(of)
    assert fewer is not None
    x = with_detail(of, seed=1)
    again = camera(64) + unmeasured(with_detail(of, seed=2) - camera(64), of)
    assert foretold(again, of, fewer) == 1
    assert share_of_the_guess(x, again, of, fewer) == alike(x, again, of) < 1e-3


def test_guesses_that_are_half_alike_count_little() -> None:
    """The correlation of s + n and s + m is 1 / 2 for equal powers that are not correlated: (0.5 / 0.75)^8."""
    of = problem(camera(64))
    s, n, m = (unmeasured(random(1, 1, 64, 64, seed=seed), of).float() for seed in (1, 2, 3))
    assert alike(s + n, s + m, of) == pytest.approx((2 / 3) ** 8, rel=0.4)
    assert alike(s + 0.3 * n, s + 0.3 * m, of) == 1


def test_half_of_what_is_foretold_is_enough() -> None:
    """Who guesses four times as much as there is foretells best with a quarter of it, and keeps a half."""
    x = camera(64)

    def boastful(part: Problem) -> Tensor:
        base = part.operator.pinv(part.y)
        return base + 4 * (x - base)

    made, again, of, fewer = runs(boastful, problem(x))
    found = share_of_the_guess(made, again, of, fewer)
    assert found == pytest.approx(1 / 2, abs=1e-4)
    torch.testing.assert_close(unmeasured(believed(made, of, found), of), 2 * unmeasured(x, of), rtol=0, atol=1e-3)


def test_what_was_measured_stays_as_the_method_made_it() -> None:
    of = problem(camera(64), noise=0.05)
    kept = believed(camera(64), of, 0.25)
    torch.testing.assert_close(OPERATOR.A(kept), OPERATOR.A(camera(64)), rtol=0, atol=1e-5)
    torch.testing.assert_close(unmeasured(kept, of), 0.25 * unmeasured(camera(64), of), rtol=0, atol=1e-5)


def test_complex_images_have_phases() -> None:
    """A guess that is turned by a quarter of a circle is not the same, and is not foretold."""
    operator = MRI(
        (1, 64, 64), {"type": "random", "acceleration": 3, "centre_fraction": 0.1, "seed": 1}, complex_image=True
    )
    x = camera(64) * torch.exp(1j * camera(64))
    of = Problem(operator, operator.A(x))
    assert share_of_the_guess(*runs(lambda part: x, of)) == 1

    def turned(part: Problem) -> Tensor:
        base = part.operator.pinv(part.y)
        return base + 1j * (x - base)

    made, again, _, fewer = runs(turned, of)
    assert foretold(again, of, fewer) == pytest.approx(0, abs=1e-5)
    assert alike(made, again, of) == 1 and alike(made, x, of) < 1e-3


def test_all_samples_keep_the_same_share() -> None:
    of = problem(camera(64))
    samples = torch.cat([camera(64), 0.5 * camera(64), with_detail(of, 1)])
    kept = believed(samples, of, 0.25)
    for one, sample in zip(kept.split(1), samples.split(1), strict=True):
        torch.testing.assert_close(one, believed(sample, of, 0.25))


def test_a_faint_guess_is_let_pass() -> None:
    x = torch.full((1, 1, 64, 64), 0.5)
    noisy = [x + 1e-3 * random(1, 1, 64, 64, dtype=torch.float32, seed=seed) for seed in (1, 2)]
    of = problem(x)
    fewer = with_fewer(of)
    assert fewer is not None and share_of_the_guess(noisy[0], noisy[1], of, fewer) == 1


def test_operators_that_need_all_they_measure_are_left_alone() -> None:
    few = MRI((1, 8, 8), {"type": "radial", "fraction": 0.3})
    assert few.hold_out(0.15) is None and with_fewer(Problem(few, few.A(camera(8)))) is None


def test_progress_goes_on_through_the_second_run() -> None:
    """It counts as one sample more, though it is shorter."""
    m, done = idm.sense(camera(64)[0, 0].numpy(), "mri", ratio=0.3), []
    idm.reconstruct(m, method="hqs", iterations=12, progress=lambda *step: done.append(step))
    assert done == [*((n, 24) for n in range(1, 13)), *((12 + 12 * n // 10, 24) for n in range(1, 11))]
