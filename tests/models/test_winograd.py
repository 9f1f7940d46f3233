"""Winograd convolutions are convolutions, as exact as the direct ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from idmcli.models.winograd import MIN_CHANNELS, WinogradConv2d, use_winograd


@pytest.mark.parametrize(("channels", "out", "height", "width"), [(3, 5, 8, 8), (4, 4, 1, 9), (16, 8, 37, 42)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_convolution(channels: int, out: int, height: int, width: int, bias: bool) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, out, 3, padding=1, bias=bias).double().requires_grad_(False)
    x = torch.randn(2, channels, height, width, dtype=torch.float64)
    torch.testing.assert_close(WinogradConv2d(conv)(x), conv(x), rtol=0, atol=1e-12)


def test_it_rounds_no_worse_than_the_direct_convolution() -> None:
    torch.manual_seed(0)
    conv, x = nn.Conv2d(320, 320, 3, padding=1).requires_grad_(False), torch.randn(1, 320, 16, 16)
    direct, fast = conv(x), WinogradConv2d(conv)(x)
    exact = conv.double()(x.double())
    assert (fast - exact).abs().max() < 2 * (direct - exact).abs().max()


def test_only_wide_plain_convolutions_are_replaced() -> None:
    wide = MIN_CHANNELS
    layers = [
        nn.Conv2d(wide, wide, 3, padding=1),
        nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1, bias=False)),
        nn.Conv2d(wide, wide, 3, padding=1, stride=2),
        nn.Conv2d(wide, wide, 3),
        nn.Conv2d(wide, wide, 1),
        nn.Conv2d(wide, 8, 3, padding=1),
        nn.Conv2d(wide, wide, 3, padding=1, groups=2),
        nn.Conv2d(wide, wide, 3, padding=2, dilation=2),
        nn.Conv2d(wide, wide, 3, padding="same"),
    ]
    model = nn.Sequential(*layers).requires_grad_(False)
    x = torch.randn(1, wide, 12, 12)
    expected = layers[1](layers[0](x))
    use_winograd(model)
    found = [type(module) for module in model.modules()]
    assert found.count(WinogradConv2d) == 2 and found.count(nn.Conv2d) == 7
    torch.testing.assert_close(model[1](model[0](x)), expected, rtol=0, atol=1e-5)
