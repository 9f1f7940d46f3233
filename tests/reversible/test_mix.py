"""The mix computes Eq. 4, and its backward pass what autograd's would be."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from idmcli.reversible.mix import inner, mix

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels-last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "part of another": lambda x: torch.cat([x, x], 1)[:, x.shape[1] :],
    "every second": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "repeated": lambda x: x[..., :1].expand(x.shape),
}


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("second", LAYOUTS)
def test_the_inner_product_in_every_layout(second: str) -> None:
    for first in LAYOUTS:
        a, b = LAYOUTS[first](random(2, 3, 4, 5)), LAYOUTS[second](random(2, 3, 4, 5) + 1)
        torch.testing.assert_close(inner(a, b), (a * b).sum())
    torch.testing.assert_close(inner(a[:0], b[:0]), torch.zeros((), dtype=a.dtype))
    torch.testing.assert_close(inner(b[0, 0, 0, 0], b[0, 0, 0, 1]), b[0, 0, 0, 0] * b[0, 0, 0, 1])


@pytest.mark.parametrize("layout", ["contiguous", "channels-last", "part of another"])
def test_gradients_of_first_and_second_order(layout: str) -> None:
    h, f = (LAYOUTS[layout](random(2, 2, 2, 3) + number).detach().requires_grad_() for number in range(2))
    v = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mix, (h, f, v))
    assert torch.autograd.gradgradcheck(mix, (h, f, v))


def test_it_is_equation_4_in_the_format_of_h() -> None:
    h, f = LAYOUTS["channels-last"](random(2, 3, 4, 5)), random(2, 3, 4, 5) + 1
    v = torch.tensor(0.3, dtype=torch.float64)
    found = mix(h, f, v)
    torch.testing.assert_close(found, 0.7 * f + 0.3 * h)
    assert found.stride() == h.stride()


@pytest.mark.parametrize("wanted", ["h", "f", "v"])
def test_one_gradient_alone(wanted: str) -> None:
    tensors = {"h": random(2, 3), "f": random(2, 3) + 1, "v": torch.tensor(0.3, dtype=torch.float64)}
    tensors[wanted].requires_grad_()
    mix(**tensors).sum().backward()
    expected = {"h": torch.full((2, 3), 0.3), "f": torch.full((2, 3), 0.7), "v": torch.tensor(-6.0)}[wanted].double()
    torch.testing.assert_close(tensors[wanted].grad, expected)
    others = [tensor for name, tensor in tensors.items() if name != wanted]
    assert all(tensor.grad is None for tensor in others)


def test_streams_are_kept_for_the_gradient_of_v_alone() -> None:
    h, f, kept = random(2, 3).requires_grad_(), random(2, 3), []
    for learned in (False, True):
        v = torch.tensor(0.3, dtype=torch.float64, requires_grad=learned)
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, s=sizes: s.append(x.numel()) or x, lambda x: x):  # type: ignore[misc]
            mix(h, f, v)
        kept.append(sum(sizes))
    assert kept == [1, 13]


class Largest(TorchDispatchMode):
    """Counts the new tensors of a given size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.count = size, 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        inputs = {a.untyped_storage()._cdata for a in args if isinstance(a, Tensor)}
        if isinstance(out, Tensor) and out.numel() == self.size and out.untyped_storage()._cdata not in inputs:
            self.count += 1
        return out


@pytest.mark.parametrize("layout", ["contiguous", "channels-last"])
def test_the_backward_pass_makes_the_two_gradients_and_no_temporary(layout: str) -> None:
    h, f, grad = (LAYOUTS[layout](random(2, 3, 4, 5)).detach() for _ in range(3))
    v = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    out = mix(h.requires_grad_(), f.requires_grad_(), v)
    with Largest(h.numel()) as largest:
        torch.autograd.grad(out, [h, f, v], grad)
    assert largest.count == 2


def test_without_values_and_as_a_copy() -> None:
    with torch.device("meta"):
        h, f, v = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3), torch.rand((), requires_grad=True)
    mix(h, copy.deepcopy(f), v).sum().backward()
    assert v.grad is not None and v.grad.shape == () and v.grad.is_meta
