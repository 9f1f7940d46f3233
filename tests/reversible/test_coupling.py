"""Couplings are bijections, compute Eqs. 4 and 5, and keep the precision of their streams."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from idmcli.reversible.coupling import V_MAX, V_MIN, Coupling, ReversibleGroup


class Body(nn.Module):
    """A nonlinear map that keeps the shape and depends on its context."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor, context: Any = None) -> Tensor:
        y: Tensor = torch.tanh(self.conv(x))
        return y if context is None else y * context


@pytest.fixture
def group() -> ReversibleGroup:
    """Five modules in double precision, every weight away from its start."""
    torch.manual_seed(0)
    group = ReversibleGroup([Body() for _ in range(5)]).double()
    with torch.no_grad():
        for coupling in group.couplings:
            coupling.v.uniform_(0.2, 0.9)
        group.open_scale.fill_(0.7)
        group.close_scale.fill_(-0.3)
    return group


def image(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_inverse_undoes_the_pair(group: ReversibleGroup) -> None:
    x, h = image(2, 4, 6, 5), image(3, 4, 6, 5)[:2].flip(0)
    for context in (None, torch.tensor(1.7, dtype=torch.float64)):
        back = group.inverse(*group.pair(x, h, context), context)
        assert (back[0] - x).abs().max() < 1e-10 and (back[1] - h).abs().max() < 1e-10
    wrong = group.inverse(*group.pair(x, h, context), None)
    assert (wrong[0] - x).abs().max() > 1e-3


@pytest.mark.parametrize("exits", [None, [1, 2, 5]])
def test_without_a_gradient_the_streams_are_overwritten_and_the_input_is_not(exits: list[int] | None) -> None:
    torch.manual_seed(0)
    group, x = ReversibleGroup([Body() for _ in range(5)], 0.4, exits).double(), image(2, 4, 6, 5)
    group.requires_grad_(True)
    with torch.no_grad():
        group.close_scale.fill_(-0.3)
        before, found = x.clone(), group(x)
    assert torch.equal(x, before)
    assert all(torch.equal(one, other) for one, other in zip(found, group(x), strict=True))


def test_the_group_is_equation_4(group: ReversibleGroup) -> None:
    x = image(2, 4, 6, 5)
    context = torch.tensor(1.7, dtype=torch.float64)
    state, h = x, 0.7 * x
    for body, coupling in zip(group.modules_, group.couplings, strict=True):
        v = coupling.v.item()
        state, h = (1 - v) * body(state, context) + v * h, state
    (result,) = group(x, context)
    torch.testing.assert_close(result, state - 0.3 * h, rtol=0, atol=1e-12)


def test_a_coupling_is_equation_5() -> None:
    coupling = Coupling(0.25).double()
    x, h = image(1, 2, 3, 3), image(2, 2, 3, 3)[1:]
    moved = coupling(torch.sin, x, h)
    torch.testing.assert_close(moved, (0.75 * x.sin() + 0.25 * h, x), rtol=0, atol=1e-14)
    torch.testing.assert_close(coupling.inverse(torch.sin, *moved), (x, h), rtol=0, atol=1e-14)


def test_gradients(group: ReversibleGroup) -> None:
    x = image(1, 4, 2, 3).requires_grad_()
    names = dict(group.named_parameters())
    assert torch.autograd.gradcheck(
        lambda x, *values: torch.func.functional_call(group, dict(zip(names, values, strict=True)), (x,)),
        (x, *(value.detach().requires_grad_() for value in names.values())),
        fast_mode=True,
    )


def test_a_fresh_group_has_the_papers_start() -> None:
    group = ReversibleGroup([Body(), Body()])
    assert [coupling.v.item() for coupling in group.couplings] == [0.5, 0.5]
    assert (group.open_scale.item(), group.close_scale.item()) == (1, 0)


@pytest.mark.parametrize(("v", "kept"), [(-3.0, V_MIN), (0.01, V_MIN), (0.5, 0.5), (0.99, V_MAX), (40.0, V_MAX)])
def test_v_stays_where_it_can_be_divided_by(v: float, kept: float) -> None:
    coupling = Coupling(v)
    coupling.constrain_()
    assert coupling.v.item() == pytest.approx(kept)


def test_autocast_keeps_the_streams_in_float32(group: ReversibleGroup) -> None:
    group.float()
    x = image(2, 4, 6, 5).float()
    with torch.autocast("cpu", torch.bfloat16):
        assert group.modules_[0].conv(x).dtype == torch.bfloat16
        state, h = group.pair(x, x)
        (result,) = group(x)
        back, _ = group.inverse(state, h)
    assert (state.dtype, h.dtype, result.dtype) == (torch.float32,) * 3
    assert (back - x).abs().max() < 1e-4  # bfloat16 streams miss this by two orders of magnitude
