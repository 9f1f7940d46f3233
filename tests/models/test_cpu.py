"""oneDNN's products give what PyTorch's layers give, and leave gradients alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.models import cpu
from idmcli.models.cpu import Attend, Linear, PixelwiseConv2d, attend, onednn_pays, use_onednn
from idmcli.models.stable_diffusion import Attention, StableDiffusionConfig, StableDiffusionUNet

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")


def network() -> StableDiffusionUNet:
    torch.manual_seed(0)
    return StableDiffusionUNet(StableDiffusionConfig(channels=(32, 64)))


def close(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= 1e-5 * expected.abs().max())


@pytest.mark.parametrize("shape", [(1, 8, 5), (2, 8, 33)])
@pytest.mark.parametrize("scores", [1, 100, 2**20])
def test_attention_in_parts(shape: tuple[int, int, int], scores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "SCORES", scores)
    torch.manual_seed(0)
    q, k, v = (3 * torch.randn(*shape, 4) for _ in range(3))
    with torch.no_grad():
        found = attend(q, k, v)
    assert close(found, F.scaled_dot_product_attention(q, k, v))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_network_computes_the_same(memory_format: torch.memory_format) -> None:
    plain = network()
    fast = copy.deepcopy(plain)
    use_onednn(fast)
    x = torch.randn(2, 1, 20, 12).contiguous(memory_format=memory_format)
    with torch.no_grad():
        assert close(fast(x), plain(x))
    blocks = [block for block in fast.modules() if isinstance(block, Attention)]
    kinds = {type(module) for block in blocks for module in block.modules()}
    assert kinds >= {Linear, PixelwiseConv2d} and not kinds & {nn.Linear, nn.Conv2d}
    layers = [
        layer for block in fast.modules() if isinstance(block, Attention) for layer in block.block.transformer_blocks
    ]
    assert layers and all(isinstance(layer.attn1.processor, Attend) for layer in layers)
    assert all(torch.equal(a, b) for a, b in zip(fast.parameters(), plain.parameters(), strict=True))
    assert list(fast.state_dict()) == list(plain.state_dict())


def test_gradients_are_pytorchs_own() -> None:
    plain = network()
    fast = copy.deepcopy(plain)
    use_onednn(fast)
    x = torch.randn(1, 1, 8, 8)
    for a, b in zip(
        torch.autograd.grad(fast(x).square().sum(), list(fast.parameters()), allow_unused=True),
        torch.autograd.grad(plain(x).square().sum(), list(plain.parameters()), allow_unused=True),
        strict=True,
    ):
        assert (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))


def test_the_measurement_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that the two ways advance by known amounts."""
    now = 0.0

    def way(cost: float) -> object:
        def run(x: Tensor, weight: Tensor) -> Tensor:
            nonlocal now
            now += cost
            return x

        return run

    monkeypatch.setattr(cpu.time, "perf_counter", lambda: now)
    monkeypatch.setattr(F, "linear", way(1.0))
    for cost, pays in ((0.5, True), (0.95, False), (2.0, False)):
        monkeypatch.setattr(cpu, "product", way(cost))
        assert onednn_pays(rounds=round(10 * cost)) == pays
