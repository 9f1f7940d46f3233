"""A map to first order: what is computed once, and for any map."""

import pytest
import torch
from torch import Tensor

from idmcli.operators.linearisation import differentiated


def test_products_are_those_of_the_jacobian_and_the_map_is_computed_once() -> None:
    calls = []

    def map_(x: Tensor) -> Tensor:
        calls.append(x)
        return torch.stack([x[0] * x[1], x[0].sin(), x[1] ** 3])

    x, u, v = torch.tensor([0.3, -1.2]), torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.5, -2.0])
    found = differentiated(map_, x)
    products = [(found.jvp(u), found.vjp(v)) for _ in range(3)]
    assert len(calls) == 1
    jacobian = torch.tensor([[-1.2, 0.3], [torch.tensor(0.3).cos(), 0.0], [0.0, 3 * 1.2**2]])
    for forward, backward in products:
        torch.testing.assert_close(forward, jacobian @ u)
        torch.testing.assert_close(backward, jacobian.T @ v)
    assert torch.equal(found.value, map_(x)) and not found.value.requires_grad


@pytest.mark.parametrize("product", ["jvp", "vjp"])
def test_autocast_does_not_reach_the_products(product: str) -> None:
    weights = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    x, u = torch.linspace(-1, 1, 8)[None], torch.linspace(2, 3, 8)[None]
    exact = getattr(differentiated(lambda x: (x @ weights) ** 2, x), product)(u)
    found = differentiated(lambda x: (x @ weights) ** 2, x)
    with torch.autocast("cpu", torch.bfloat16):
        inside = getattr(found, product)(u)
    assert torch.equal(inside, exact)
