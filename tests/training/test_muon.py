"""Muon: the iteration of the textbook, and an optimiser that optimises and can be saved."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from idmcli.training.muon import Muon, orthogonalise


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def newton_schulz(matrix: Tensor) -> Tensor:
    """Five iterations X <- a X + (b G + c G^2) X with G = X X^T (Jordan et al., 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / matrix.norm()
    x = x.T if len(matrix) > matrix.shape[1] else x
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if len(matrix) > matrix.shape[1] else x


@pytest.mark.parametrize("shape", [(16, 16), (8, 72), (72, 8), (1, 9), (32, 288)])
def test_orthogonalise_is_the_textbook_iteration(shape: tuple[int, int]) -> None:
    matrix = random(*shape)
    torch.testing.assert_close(orthogonalise(matrix), newton_schulz(matrix), rtol=1e-7, atol=1e-7)


def test_a_stack_is_orthogonalised_matrix_by_matrix() -> None:
    for shape in ((3, 4, 10), (3, 10, 4)):
        stack = random(*shape)
        each = torch.stack([orthogonalise(matrix) for matrix in stack])
        torch.testing.assert_close(orthogonalise(stack), each, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_move_as_they_do_alone(layout: torch.memory_format) -> None:
    shapes = [(4, 3, 3, 3), (4, 3, 3, 3), (30, 3, 3, 3), (5, 7), (4, 3, 3, 3)]  # wide, tall and flat, some alike
    together, alone = ([nn.Parameter(random(*shape, seed=k)) for k, shape in enumerate(shapes)] for _ in range(2))
    for k, (a, b) in enumerate(zip(together, alone, strict=True)):
        gradient = random(*a.shape, seed=10 + k)
        a.data = a.data.contiguous(memory_format=layout) if a.ndim == 4 else a.data
        a.grad = gradient.contiguous(memory_format=layout) if a.ndim == 4 else gradient
        b.grad = gradient
        Muon([b]).step()
    Muon(together).step()
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a.detach(), b.detach(), rtol=1e-9, atol=1e-9, check_stride=False)


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 144), (48, 432)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_singular_values_come_near_one(shape: tuple[int, int], dtype: torch.dtype) -> None:
    for seed in range(5):
        matrix = random(*shape, seed=seed).to(dtype) * 10.0 ** (3 - seed)
        values = torch.linalg.svdvals(orthogonalise(matrix))
        assert values.min() > 0.5 and values.max() < 1.3


def test_directions_are_kept() -> None:
    matrix = random(8, 20)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    diagonal = u.T @ orthogonalise(matrix) @ v.T
    assert (diagonal - diagonal.diag().diag()).abs().max() < 1e-6


def test_a_zero_gradient_moves_nothing() -> None:
    assert not orthogonalise(torch.zeros(3, 5)).any()
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.zeros(2, 2)
    Muon([weight]).step()
    assert torch.equal(weight.detach(), torch.ones(2, 2))


def test_one_step_by_hand() -> None:
    """Nesterov: the direction is 0.05 g + 0.95 m with m = 0.05 g, then orthogonalised; kernels are flattened."""
    weight = nn.Parameter(random(4, 3, 3, 3))
    before, gradients = weight.detach().clone(), (random(4, 3, 3, 3, seed=1), random(4, 3, 3, 3, seed=2))
    optimiser, average = Muon([weight], lr=0.1), torch.zeros(4, 27, dtype=torch.float64)
    for gradient in gradients:
        weight.grad = gradient
        optimiser.step()
        average = 0.95 * average + 0.05 * gradient.flatten(1)
        before -= 0.1 * newton_schulz(0.05 * gradient.flatten(1) + 0.95 * average).view_as(before)
    torch.testing.assert_close(weight.detach(), before, rtol=1e-6, atol=1e-6)


def minimise(optimiser: Muon, weight: Tensor, target: Tensor, steps: int) -> float:
    loss = torch.zeros(())
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * (1 - step / steps)
        loss = (weight - target).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item()


def test_a_quadratic_is_minimised() -> None:
    target, weight = random(6, 2, 3, 3), nn.Parameter(torch.zeros(6, 2, 3, 3, dtype=torch.float64))
    assert minimise(Muon([weight]), weight, target, 150) < 1e-3 * target.square().sum().item()


def test_parameters_without_a_gradient_are_left_alone() -> None:
    used, unused = nn.Parameter(random(2, 2)), nn.Parameter(random(2, 2))
    used.grad, before = random(2, 2, seed=3), unused.detach().clone()
    Muon([used, unused]).step()
    assert torch.equal(unused.detach(), before)


def test_its_state_can_be_saved() -> None:
    gradients = [random(4, 4, seed=seed) for seed in range(6)]

    def run(weight: nn.Parameter, optimiser: Muon, gradients: list[Tensor]) -> None:
        for gradient in gradients:
            weight.grad = gradient
            optimiser.step()

    whole = nn.Parameter(torch.zeros(4, 4, dtype=torch.float64))
    run(whole, Muon([whole]), gradients)
    first = nn.Parameter(torch.zeros(4, 4, dtype=torch.float64))
    half = Muon([first])
    run(first, half, gradients[:3])
    second = nn.Parameter(first.detach().clone())
    continued = Muon([second], lr=7.0)
    continued.load_state_dict(half.state_dict())
    run(second, continued, gradients[3:])
    assert torch.equal(second, whole)
