"""The networks of EDM (Karras et al., 2022): DDPM++, NCSN++ and ADM under its preconditioning, of any size.

Which blocks there are, and what is in them, is read off the names and shapes of a state dict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.models.foreign.padding import pad_to

SIGMA_DATA = 0.5
NOISE_LEVELS = (0.002, 80.0)  # of sampling, for images in [-1, 1]
ADM_HEAD_CHANNELS = 64

Shapes = Mapping[str, Tensor]


class Resample(nn.Module):
    """A convolution, or none, with a change of resolution by a filter, or none."""

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    resample_filter: Tensor | None

    def __init__(self, name: str, tensors: Shapes, change: str = "") -> None:
        super().__init__()
        self.weight = self.bias = None
        if not change or f"{name}.bias" in tensors:
            shape = tensors[f"{name}.weight"].shape
            self.weight, self.bias = nn.Parameter(torch.empty(shape)), nn.Parameter(torch.empty(shape[0]))
        self.change = change
        if change:
            taps = tensors.get(f"{name}.resample_filter")
            self.register_buffer("resample_filter", torch.empty((1, 1, 2, 2) if taps is None else taps.shape))

    def forward(self, x: Tensor) -> Tensor:
        if self.change == "down":
            x = self._down(x, self._margin())
        elif self.change == "up":
            assert self.resample_filter is not None
            taps = (4 * self.resample_filter).expand(x.shape[1], -1, -1, -1)
            x = F.conv_transpose2d(x, taps, stride=2, padding=self._margin(), groups=x.shape[1])
        return x if self.weight is None else F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)

    def fused(self, x: Tensor) -> Tensor:
        """The convolution first, on an image padded for both, and then down."""
        assert self.weight is not None and self.bias is not None
        x = F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2 + self._margin())
        return self._down(x, 0) + self.bias[:, None, None]

    def _down(self, x: Tensor, padding: int) -> Tensor:
        assert self.resample_filter is not None
        taps = self.resample_filter.expand(x.shape[1], -1, -1, -1)
        return F.conv2d(x, taps, stride=2, padding=padding, groups=x.shape[1])

    def _margin(self) -> int:
        assert self.resample_filter is not None
        return (self.resample_filter.shape[-1] - 1) // 2


class Block(nn.Module):
    """A residual block under an embedding of the noise level, and self-attention where it has some.

    Args:
        name: in the state dict.
        tensors: whose shapes are taken.
        adm: whether it is ADM's: the embedding scales and shifts, heads of 64 channels, no scaling of the sum.
    """

    def __init__(self, name: str, tensors: Shapes, *, adm: bool) -> None:
        super().__init__()
        change = {"down": "down", "up": "up"}.get(name.rpartition("_")[2], "")
        self.outer, self.inner = tensors[f"{name}.conv0.weight"].shape[:2]
        self.adm, eps = adm, 1e-5 if adm else 1e-6
        self.norm0 = _norm(self.inner, eps)
        self.conv0 = Resample(f"{name}.conv0", tensors, change)
        self.affine = nn.Linear(tensors[f"{name}.affine.weight"].shape[1], self.outer * (2 if adm else 1))
        self.norm1 = _norm(self.outer, eps)
        self.conv1 = Resample(f"{name}.conv1", tensors)
        bends = self.outer != self.inner or change
        self.skip = Resample(f"{name}.skip", tensors, change) if bends else None
        self.heads = 0
        if f"{name}.qkv.weight" in tensors:
            self.heads = max(1, self.outer // ADM_HEAD_CHANNELS) if adm else 1
            self.norm2 = _norm(self.outer, eps)
            self.qkv = nn.Conv2d(self.outer, 3 * self.outer, 1)
            self.proj = nn.Conv2d(self.outer, self.outer, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale = 1.0 if self.adm else math.sqrt(0.5)
        h = self.conv0(F.silu(self.norm0(x)))
        level = self.affine(embedding)[:, :, None, None]
        if self.adm:
            gain, shift = level.chunk(2, 1)
            h = self.norm1(h) * (1 + gain) + shift
        else:
            h = self.norm1(h + level)
        x = scale * (self.conv1(F.silu(h)) + (x if self.skip is None else self.skip(x)))
        return scale * (x + self._attend(x)) if self.heads else x

    def _attend(self, x: Tensor) -> Tensor:
        """Each head has its channels in turn, and each channel its q, k and v."""
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm2(x)).reshape(batch, self.heads, channels // self.heads, 3, -1)
        q, k, v = (part.transpose(2, 3) for part in qkv.unbind(3))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(2, 3)
        result: Tensor = self.proj(attended.reshape(batch, channels, height, width))
        return result


def _norm(channels: int, eps: float) -> nn.GroupNorm:
    return nn.GroupNorm(min(32, channels // 4), channels, eps=eps)


class Fourier(nn.Module):
    """NCSN++'s embedding: random frequencies, which belong to the weights."""

    freqs: Tensor

    def __init__(self, frequencies: int) -> None:
        super().__init__()
        self.register_buffer("freqs", torch.empty(frequencies))

    def forward(self, level: Tensor) -> Tensor:
        phase = level[:, None] * (2 * math.pi * self.freqs)
        return torch.cat([phase.sin(), phase.cos()], 1)


class Positional(nn.Module):
    """DDPM++'s (sines first, to 1/10000 inclusive) and ADM's (cosines first) embedding."""

    def __init__(self, channels: int, *, adm: bool) -> None:
        super().__init__()
        self.count, self.adm = channels // 2, adm

    def forward(self, level: Tensor) -> Tensor:
        place = torch.arange(self.count, device=level.device) / (self.count - (0 if self.adm else 1))
        phase = level[:, None] * 10000.0**-place
        parts = [phase.sin(), phase.cos()]
        return torch.cat(parts[::-1] if self.adm else parts, 1)


class EDM(nn.Module):
    """``D(r; s) = c_skip r + c_out F(c_in r, ln(s) / 4)`` for ``r = 2 x - 1`` and ``s = 2 sigma`` (Eq. 7, Table 1).

    Args:
        tensors: a state dict of the network F, without "model." in front.

    Raises:
        KeyError: naming a tensor without which no network can be built.
    """

    def __init__(self, tensors: Shapes) -> None:
        super().__init__()
        self.adm = "out_conv.weight" in tensors
        self.sides = _sides(tensors)
        noise = tensors["map_layer0.weight"].shape[1]
        self.map_noise = Fourier(noise // 2) if "map_noise.freqs" in tensors else Positional(noise, adm=self.adm)
        if "map_augment.weight" in tensors:  # of training alone
            self.map_augment = nn.Linear(tensors["map_augment.weight"].shape[1], noise, bias=False)
        self.map_layer0 = nn.Linear(noise, tensors["map_layer0.weight"].shape[0])
        self.map_layer1 = nn.Linear(self.map_layer0.out_features, tensors["map_layer1.weight"].shape[0])
        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        fine, last = self.sides[0], self.sides[-1]
        self.channels = tensors[f"enc.{fine}_conv.weight"].shape[1]
        for side in self.sides:
            self._add("enc", f"{side}_conv" if side == self.sides[0] else f"{side}_down", tensors)
            if f"enc.{side}_aux_residual.weight" in tensors:
                self._add("enc", f"{side}_aux_residual", tensors)
            self._add_blocks("enc", side, tensors)
        for side in reversed(self.sides):
            for name in (f"{side}_in0", f"{side}_in1") if side == last else (f"{side}_up",):
                self._add("dec", name, tensors)
            self._add_blocks("dec", side, tensors)
        out = "out_conv" if self.adm else f"dec.{fine}_aux_conv"
        channels = tensors[f"{out}.weight"].shape[1]
        if self.adm:
            self.out_norm, self.out_conv = _norm(channels, 1e-5), Resample(out, tensors)
        else:
            self.dec[f"{fine}_aux_norm"], self.dec[f"{fine}_aux_conv"] = _norm(channels, 1e-6), Resample(out, tensors)

    def _add(self, way: str, name: str, tensors: Shapes) -> None:
        full = f"{way}.{name}"
        if "_aux_" in name:
            module: nn.Module = Resample(full, tensors, "down")
        else:
            module = Resample(full, tensors) if name.endswith("_conv") else Block(full, tensors, adm=self.adm)
        self.get_submodule(way)[name] = module  # type: ignore[operator]

    def _add_blocks(self, way: str, side: str, tensors: Shapes) -> None:
        for n in range(len(tensors)):
            if not any(name.startswith(f"{way}.{side}_block{n}.") for name in tensors):
                return
            self._add(way, f"{side}_block{n}", tensors)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        r, s = 2 * x - 1, (2 * sigma).clamp_min(NOISE_LEVELS[0])
        total = s**2 + SIGMA_DATA**2
        c_skip, c_out, c_in = SIGMA_DATA**2 / total, s * SIGMA_DATA / total.sqrt(), total.rsqrt()
        seen = pad_to(c_in * r, 2 ** (len(self.sides) - 1), "reflect")
        out = self.estimate(seen, s.log().flatten() / 4)[..., : x.shape[2], : x.shape[3]]
        return (c_skip * r + c_out * out + 1) / 2

    def estimate(self, x: Tensor, level: Tensor) -> Tensor:
        """F: (B, C, H, W) with sides that the scales divide, and (B,), to the shape of x."""
        embedding = F.silu(self.map_layer1(F.silu(self.map_layer0(self.map_noise(level)))))
        skips: list[Tensor] = []
        beside = x
        for module in self.enc.values():
            if isinstance(module, Block):
                x = module(x, embedding)
                skips.append(x)
            elif isinstance(module, Resample) and module.change:
                x = skips[-1] = beside = (x + module.fused(beside)) * math.sqrt(0.5)
            else:
                x = module(x)
                skips.append(x)
        for module in self.dec.values():
            if isinstance(module, Block):
                if x.shape[1] != module.inner:
                    x = torch.cat([x, skips.pop()], 1)
                x = module(x, embedding)
        fine = self.sides[0]
        norm, conv = (
            (self.out_norm, self.out_conv) if self.adm else (self.dec[f"{fine}_aux_norm"], self.dec[f"{fine}_aux_conv"])
        )
        result: Tensor = conv(F.silu(norm(x)))
        return result


def _sides(tensors: Shapes) -> list[str]:
    """The resolutions, "64x64" for example, from the finest."""
    found = {match[1] for name in tensors if (match := re.match(r"enc\.((\d{1,5})x\2)_", name))}
    return sorted(found, key=lambda side: -int(side.partition("x")[0]))
