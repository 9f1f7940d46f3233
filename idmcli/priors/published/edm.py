"""The networks of EDM (Karras et al., 2022): DDPM++, NCSN++ and ADM under its preconditioning, of any size.

Which blocks there are, and what is in them, is read off the names and shapes of a state dict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.errors import InputError
from idmcli.models.padding import pad_to
from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.module import ModulePrior
from idmcli.priors.published.networks import Tensors, build_network, check_image_channels, load_tensors, photographs

SIGMA_DATA = 0.5
NOISE_LEVELS = (0.002, 80.0)  # of sampling, for images in [-1, 1]
ADM_HEAD_CHANNELS = 64


class Resample(nn.Module):
    """A convolution with a change of resolution, or one of the two alone.

    Args:
        inner, outer: channels.
        kernel: size of the convolution; 0 for none.
        change: "up", "down" or neither.
        taps: of the filter that changes the resolution.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    resample_filter: Tensor

    def __init__(self, inner: int, outer: int, kernel: int, change: str = "", taps: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outer, inner, kernel, kernel)) if kernel else None
        self.bias = nn.Parameter(torch.empty(outer)) if kernel else None
        self.change = change
        if change:
            self.register_buffer("resample_filter", torch.empty(1, 1, taps, taps))

    def forward(self, x: Tensor) -> Tensor:
        if self.change == "down":
            x = self._down(x, self._margin())
        elif self.change == "up":
            taps = (4 * self.resample_filter).expand(x.shape[1], -1, -1, -1)
            x = F.conv_transpose2d(x, taps, stride=2, padding=self._margin(), groups=x.shape[1])
        return x if self.weight is None else F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)

    def fused(self, x: Tensor) -> Tensor:
        """The convolution first, on an image padded for both, and then down."""
        assert self.weight is not None and self.bias is not None
        x = F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2 + self._margin())
        return self._down(x, 0) + self.bias[:, None, None]

    def _down(self, x: Tensor, padding: int) -> Tensor:
        taps = self.resample_filter.expand(x.shape[1], -1, -1, -1)
        return F.conv2d(x, taps, stride=2, padding=padding, groups=x.shape[1])

    def _margin(self) -> int:
        return (self.resample_filter.shape[-1] - 1) // 2


class Block(nn.Module):
    """A residual block under an embedding of the noise level, and self-attention where it has some.

    Args:
        inner, outer: channels.
        embedding: its channels.
        attends: whether it has attention.
        change: "up", "down" or neither.
        taps: of the filter that does that.
        adm: whether it is ADM's: the embedding scales and shifts, heads of 64 channels, no scaling of the sum.
    """

    def __init__(
        self, inner: int, outer: int, embedding: int, *, attends: bool, change: str, taps: int, adm: bool
    ) -> None:
        super().__init__()
        self.inner, self.outer, self.adm, eps = inner, outer, adm, 1e-5 if adm else 1e-6
        self.norm0 = _norm(inner, eps)
        self.conv0 = Resample(inner, outer, 3, change, taps)
        self.affine = nn.Linear(embedding, outer * (2 if adm else 1))
        self.norm1 = _norm(outer, eps)
        self.conv1 = Resample(outer, outer, 3)
        self.skip = None
        if outer != inner or change:
            self.skip = Resample(inner, outer, 0 if adm and outer == inner else 1, change, taps)
        self.heads = 0
        if attends:
            self.heads = outer // ADM_HEAD_CHANNELS if adm else 1
            if not self.heads or outer % self.heads:
                raise ValueError(f"{outer} channels in heads of {ADM_HEAD_CHANNELS}")
            self.norm2 = _norm(outer, eps)
            self.qkv = nn.Conv2d(outer, 3 * outer, 1)
            self.proj = nn.Conv2d(outer, outer, 1)

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
        ValueError: no network has tensors of these shapes.
    """

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        self.adm, self.sides = "out_conv.weight" in tensors, _sides(tensors)
        fine, coarse = self.sides[0], self.sides[-1]
        now, self.channels = tensors[f"enc.{fine}_conv.weight"].shape[:2]
        embedding, noise = tensors["map_layer0.weight"].shape
        if noise % 2:
            raise ValueError(f"an embedding of {noise} channels")
        self.map_noise = Fourier(noise // 2) if "map_noise.freqs" in tensors else Positional(noise, adm=self.adm)
        if "map_augment.weight" in tensors:  # of training alone
            self.map_augment = nn.Linear(tensors["map_augment.weight"].shape[1], noise, bias=False)
        self.map_layer0, self.map_layer1 = nn.Linear(noise, embedding), nn.Linear(embedding, embedding)
        taps = 4 if any(tensor.shape == (1, 1, 4, 4) for tensor in tensors.values()) else 2

        def block(name: str, inner: int, change: str = "") -> Block:
            outer = tensors[f"{name}.conv0.weight"].shape[0] if "_block" in name else inner
            attends = f"{name}.qkv.weight" in tensors
            return Block(inner, outer, embedding, attends=attends, change=change, taps=taps, adm=self.adm)

        self.enc, self.dec = nn.ModuleDict(), nn.ModuleDict()
        beside, skips = self.channels, []
        for side in self.sides:
            if side == fine:
                self.enc[f"{side}_conv"] = Resample(self.channels, now, 3)
            else:
                self.enc[f"{side}_down"] = block(f"enc.{side}_down", now, "down")
            if f"enc.{side}_aux_residual.weight" in tensors:
                self.enc[f"{side}_aux_residual"] = Resample(beside, now, 3, "down", taps)
                beside = now
            skips.append(now)
            for name in _blocks(f"enc.{side}", tensors):
                self.enc[name[4:]] = added = block(name, now)
                now = added.outer
                skips.append(now)
        for side in reversed(self.sides):
            if side == coarse:
                for name in (f"{side}_in0", f"{side}_in1"):
                    self.dec[name] = block(f"dec.{name}", now)
            else:
                self.dec[f"{side}_up"] = block(f"dec.{side}_up", now, "up")
            for name in _blocks(f"dec.{side}", tensors):
                self.dec[name[4:]] = added = block(name, now + skips.pop())
                now = added.outer
        norm, conv = _norm(now, 1e-5 if self.adm else 1e-6), Resample(now, self.channels, 3)
        if self.adm:
            self.out_norm, self.out_conv = norm, conv
        else:
            self.dec[f"{fine}_aux_norm"], self.dec[f"{fine}_aux_conv"] = norm, conv

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
        for name, module in self.dec.items():
            if isinstance(module, Block):
                if "_block" in name:
                    x = torch.cat([x, skips.pop()], 1)
                x = module(x, embedding)
        fine = self.sides[0]
        norm, conv = (
            (self.out_norm, self.out_conv) if self.adm else (self.dec[f"{fine}_aux_norm"], self.dec[f"{fine}_aux_conv"])
        )
        result: Tensor = conv(F.silu(norm(x)))
        return result


def _sides(tensors: Tensors) -> list[str]:
    """The resolutions, "64x64" for example, from the finest."""
    found = {match[1] for name in tensors if (match := re.match(r"enc\.((\d{1,5})x\2)_", name))}
    return sorted(found, key=lambda side: -int(side.partition("x")[0]))


def _blocks(place: str, tensors: Tensors) -> Iterator[str]:
    """The names of the blocks without a change of resolution, from the first that is there to the last."""
    for n in range(len(tensors)):
        name = f"{place}_block{n}"
        if not any(other.startswith(f"{name}.") for other in tensors):
            return
        yield name


def recognises(source: Source) -> bool:
    """Whether a state dict is EDM's, with or without "model." in front of the names."""
    return f"{_prefix(source.tensors)}map_layer0.weight" in source.tensors


def load(source: Source) -> ModulePrior:
    """The prior in the state dict of an unconditional network.

    Raises:
        InputError: the network needs the class of an image or has another preconditioning, or the file is damaged.
        NumericalError: a value is not finite.
    """
    path, prefix = source.path, _prefix(source.tensors)
    tensors = {name.removeprefix(prefix): tensor for name, tensor in source.tensors.items()}
    if "map_label.weight" in tensors:
        raise InputError(f"{str(path)!r} needs the class of the image", "name an unconditional network")
    if "baseline" in path.stem:
        raise InputError(f"{str(path)!r} has another preconditioning than EDM's", "name one that EDM trained")
    network = build_network(path, lambda: EDM(tensors))
    load_tensors(path, network, source.tensors, lambda name: f"{prefix}{name}")
    channels = check_image_channels(path, network.channels)
    low, high = NOISE_LEVELS
    return ModulePrior(network, path.stem, photographs(channels, symmetric=False), (low / 2, high / 2))


def _prefix(tensors: Tensors) -> str:
    return "model." if "model.map_layer0.weight" in tensors else ""


FORMAT = PriorFormat(recognises, load)
