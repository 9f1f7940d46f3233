"""Published networks of other authors as lists of named shapes and as plain functions of named tensors, written from
their definitions and not from the package."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.small import generator

Shapes = dict[str, tuple[int, ...]]
Tensors = dict[str, Tensor]


def drawn(shapes: Shapes, seed: int = 0) -> Tensors:
    """Random tensors of these shapes, of the size of trained ones."""
    g, tensors = generator(seed), {}
    for name, shape in shapes.items():
        if name.endswith("resample_filter"):
            taps = torch.tensor({2: [1.0, 1.0], 4: [1.0, 3.0, 3.0, 1.0]}[shape[-1]])
            tensors[name] = (torch.outer(taps, taps) / taps.sum() ** 2)[None, None]
        elif name.endswith("running_var"):
            tensors[name] = 0.5 + torch.rand(shape, generator=g)
        else:
            fan = math.prod(shape[1:]) if len(shape) > 1 else 4
            tensors[name] = torch.randn(shape, generator=g) / math.sqrt(fan)
    return tensors


def count(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def layer(name: str, *weight: int) -> Shapes:
    return {f"{name}.weight": weight, f"{name}.bias": weight[:1]}


# KAIR, and FFDNet of IPOL


def kair_shapes(inner: int, outer: int, layers: int, features: int = 64) -> Shapes:
    """DnCNN, IRCNN and FFDNet."""
    widths = [inner, *[features] * (layers - 1), outer]
    return {k: v for n in range(layers) for k, v in layer(f"model.{2 * n}", widths[n + 1], widths[n], 3, 3).items()}


def kair(tensors: Tensors, x: Tensor, dilations: Sequence[int] | None = None) -> Tensor:
    layers = len(tensors) // 2
    for n, dilation in enumerate(dilations or [1] * layers):
        weight, bias = tensors[f"model.{2 * n}.weight"], tensors[f"model.{2 * n}.bias"]
        x = F.conv2d(x if n == 0 else x.clamp_min(0), weight, bias, padding=dilation, dilation=dilation)
    return x


def corners(x: Tensor) -> Tensor:
    """(B, C, H, W) of even sides to (B, 4 C, H / 2, W / 2): of each channel the four pixels of each 2x2 square."""
    parts = [x[:, :, row::2, column::2] for row, column in ((0, 0), (0, 1), (1, 0), (1, 1))]
    return torch.stack(parts, 2).flatten(1, 2)


def from_corners(parts: Tensor) -> Tensor:
    batch, channels, height, width = parts.shape
    x = torch.zeros(batch, channels // 4, 2 * height, 2 * width)
    for index, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        x[:, :, row::2, column::2] = parts[:, index::4]
    return x


def ipol_shapes(channels: int, layers: int, features: int) -> Shapes:
    prefix, widths = "intermediate_dncnn.itermediate_dncnn", [5 * channels, *[features] * (layers - 1), 4 * channels]
    shapes: Shapes = {f"{prefix}.0.weight": (features, widths[0], 3, 3)}
    for n in range(1, layers):
        shapes[f"{prefix}.{3 * n - 1}.weight"] = (widths[n + 1], widths[n], 3, 3)
        if n < layers - 1:
            for part in ("weight", "bias", "running_mean", "running_var"):
                shapes[f"{prefix}.{3 * n}.{part}"] = (features,)
    return shapes


def ipol(tensors: Tensors, x: Tensor, sigma: float) -> Tensor:
    """The denoised image of one with even sides."""
    own = {name.removeprefix("intermediate_dncnn.itermediate_dncnn."): tensor for name, tensor in tensors.items()}
    levels = torch.full((len(x), x.shape[1], x.shape[2] // 2, x.shape[3] // 2), sigma)
    h = F.conv2d(torch.cat([levels, corners(x)], 1), own["0.weight"], padding=1)
    last = max(int(name.split(".")[0]) for name in own)
    for place in range(2, last + 1, 3):
        h = F.conv2d(h.clamp_min(0), own[f"{place}.weight"], padding=1)
        if place < last:
            mean, var, gain, bias = (
                own[f"{place + 1}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
            )
            h = (h - mean) / (var + 1e-5).sqrt() * gain + bias
    return x - from_corners(h)


# DRUNet


def drunet_shapes(channels: int, features: Sequence[int] = (64, 128, 256, 512), blocks: int = 4) -> Shapes:
    shapes: Shapes = {"m_head.weight": (features[0], channels + 1, 3, 3)}

    def residuals(part: str, first: int, width: int) -> None:
        for n in range(first, first + blocks):
            for place in (0, 2):
                shapes[f"{part}.{n}.res.{place}.weight"] = (width, width, 3, 3)

    for scale in (0, 1, 2):
        residuals(f"m_down{scale + 1}", 0, features[scale])
        shapes[f"m_down{scale + 1}.{blocks}.weight"] = (features[scale + 1], features[scale], 2, 2)
        shapes[f"m_up{scale + 1}.0.weight"] = (features[scale + 1], features[scale], 2, 2)
        residuals(f"m_up{scale + 1}", 1, features[scale])
    residuals("m_body", 0, features[3])
    return {**shapes, "m_tail.weight": (channels, features[0], 3, 3)}


def drunet(tensors: Tensors, x: Tensor, sigma: float) -> Tensor:
    """The denoised image of one whose sides are multiples of 8."""

    def residuals(part: str, x: Tensor, first: int) -> Tensor:
        n = first
        while f"{part}.{n}.res.0.weight" in tensors:
            h = F.conv2d(x, tensors[f"{part}.{n}.res.0.weight"], padding=1).clamp_min(0)
            x, n = x + F.conv2d(h, tensors[f"{part}.{n}.res.2.weight"], padding=1), n + 1
        return x

    level = torch.full((len(x), 1, *x.shape[2:]), sigma)
    xs = [F.conv2d(torch.cat([x, level], 1), tensors["m_head.weight"], padding=1)]
    for part in ("m_down1", "m_down2", "m_down3"):
        change = next(t for name, t in tensors.items() if name.startswith(part) and t.shape[-1] == 2)
        xs.append(F.conv2d(residuals(part, xs[-1], 0), change, stride=2))
    h = residuals("m_body", xs[3], 0)
    for part, beside in (("m_up3", xs[3]), ("m_up2", xs[2]), ("m_up1", xs[1])):
        h = residuals(part, F.conv_transpose2d(h + beside, tensors[f"{part}.0.weight"], stride=2), 1)
    return F.conv2d(h + xs[0], tensors["m_tail.weight"], padding=1)


# Guided diffusion


def adm_residual(name: str, inner: int, outer: int, embedding: int) -> Shapes:
    shapes = {**layer(f"{name}.in_layers.0", inner), **layer(f"{name}.in_layers.2", outer, inner, 3, 3)}
    shapes |= {**layer(f"{name}.emb_layers.1", 2 * outer, embedding), **layer(f"{name}.out_layers.0", outer)}
    shapes |= layer(f"{name}.out_layers.3", outer, outer, 3, 3)
    return shapes if inner == outer else shapes | layer(f"{name}.skip_connection", outer, inner, 1, 1)


def adm_attention(name: str, width: int) -> Shapes:
    return {
        **layer(f"{name}.norm", width),
        **layer(f"{name}.qkv", 3 * width, width, 1),
        **layer(f"{name}.proj_out", width, width, 1),
    }


def adm_shapes(width: int, scales: Sequence[int], blocks: int, attention: Sequence[int], outer: int = 6) -> Shapes:
    """With attention at these levels, and residual blocks that halve and double."""
    embedding = 4 * width
    shapes = {**layer("time_embed.0", embedding, width), **layer("time_embed.2", embedding, embedding)}
    shapes |= layer("input_blocks.0.0", width, 3, 3, 3)
    skips, now, n = [width], width, 0
    for level, scale in enumerate(scales):
        for _ in range(blocks):
            n += 1
            shapes |= adm_residual(f"input_blocks.{n}.0", now, scale * width, embedding)
            now = scale * width
            shapes |= adm_attention(f"input_blocks.{n}.1", now) if level in attention else {}
            skips.append(now)
        if level < len(scales) - 1:
            n += 1
            shapes |= adm_residual(f"input_blocks.{n}.0", now, now, embedding)
            skips.append(now)
    shapes |= adm_residual("middle_block.0", now, now, embedding) | adm_attention("middle_block.1", now)
    shapes |= adm_residual("middle_block.2", now, now, embedding)
    n = 0
    for level in reversed(range(len(scales))):
        for block in range(blocks + 1):
            shapes |= adm_residual(f"output_blocks.{n}.0", now + skips.pop(), scales[level] * width, embedding)
            now = scales[level] * width
            shapes |= adm_attention(f"output_blocks.{n}.1", now) if level in attention else {}
            if level and block == blocks:
                place = 2 if level in attention else 1
                shapes |= adm_residual(f"output_blocks.{n}.{place}", now, now, embedding)
            n += 1
    return shapes | layer("out.0", width) | layer("out.2", outer, width, 3, 3)


def adm(tensors: Tensors, x: Tensor, t: Tensor) -> Tensor:
    """The output for images whose sides the levels divide, at times (B,)."""
    width = len(tensors["input_blocks.0.0.bias"])

    def of(name: str) -> tuple[Tensor, Tensor]:
        return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, 32, *of(name), eps=1e-5)

    def residual(name: str, x: Tensor, change: str) -> Tensor:
        def resized(x: Tensor) -> Tensor:
            if change == "down":
                return F.avg_pool2d(x, 2)
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3) if change == "up" else x

        h = F.conv2d(resized(F.silu(norm(f"{name}.in_layers.0", x))), *of(f"{name}.in_layers.2"), padding=1)
        scale, shift = F.linear(F.silu(embedding), *of(f"{name}.emb_layers.1"))[:, :, None, None].chunk(2, 1)
        h = F.silu(norm(f"{name}.out_layers.0", h) * (1 + scale) + shift)
        h = F.conv2d(h, *of(f"{name}.out_layers.3"), padding=1)
        x = resized(x)
        return h + (F.conv2d(x, *of(f"{name}.skip_connection")) if f"{name}.skip_connection.bias" in tensors else x)

    def attention(name: str, x: Tensor) -> Tensor:
        qkv = F.conv1d(norm(f"{name}.norm", x).flatten(2), *of(f"{name}.qkv"))
        heads = []
        for head in qkv.split(3 * 64, 1):  # each with its q, k and v
            q, k, v = head.split(64, 1)
            heads.append(v @ (k.transpose(1, 2) @ q / 8).softmax(1))
        return x + F.conv1d(torch.cat(heads, 1), *of(f"{name}.proj_out")).reshape(x.shape)

    frequencies = torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2))
    phase = t[:, None] * frequencies
    embedding = F.linear(torch.cat([phase.cos(), phase.sin()], 1), *of("time_embed.0"))
    embedding = F.linear(F.silu(embedding), *of("time_embed.2"))
    blocks = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("output_blocks"))
    ups = [n for n in range(blocks) for k in (1, 2) if f"output_blocks.{n}.{k}.in_layers.0.bias" in tensors]
    per_level = blocks // (len(ups) + 1)
    h = F.conv2d(x, *of("input_blocks.0.0"), padding=1)
    skips = [h]
    for n in range(1, blocks):
        h = residual(f"input_blocks.{n}.0", h, "down" if n % per_level == 0 else "")
        h = attention(f"input_blocks.{n}.1", h) if f"input_blocks.{n}.1.qkv.bias" in tensors else h
        skips.append(h)
    h = residual("middle_block.2", attention("middle_block.1", residual("middle_block.0", h, "")), "")
    for n in range(blocks):
        h = residual(f"output_blocks.{n}.0", torch.cat([h, skips.pop()], 1), "")
        attends = f"output_blocks.{n}.1.qkv.bias" in tensors
        h = attention(f"output_blocks.{n}.1", h) if attends else h
        h = residual(f"output_blocks.{n}.{2 if attends else 1}", h, "up") if n in ups else h
    return F.conv2d(F.silu(norm("out.0", h)), *of("out.2"), padding=1)


# EDM


def edm_block(name: str, inner: int, outer: int, embedding: int, kind: str, *, attends: bool, taps: int) -> Shapes:
    """Of "ddpmpp", "ncsnpp" or "adm"."""
    change = name.endswith(("_up", "_down"))
    shapes = {**layer(f"{name}.norm0", inner), **layer(f"{name}.conv0", outer, inner, 3, 3)}
    shapes |= {
        **layer(f"{name}.affine", outer * (2 if kind == "adm" else 1), embedding),
        **layer(f"{name}.norm1", outer),
    }
    shapes |= layer(f"{name}.conv1", outer, outer, 3, 3)
    if inner != outer or (change and kind != "adm"):
        shapes |= layer(f"{name}.skip", outer, inner, 1, 1)
    if change:
        shapes |= {f"{name}.{part}.resample_filter": (1, 1, taps, taps) for part in ("conv0", "skip")}
    if attends:
        shapes |= {**layer(f"{name}.norm2", outer), **layer(f"{name}.qkv", 3 * outer, outer, 1, 1)}
        shapes |= layer(f"{name}.proj", outer, outer, 1, 1)
    return shapes


def edm_shapes(
    kind: str, side: int, width: int, scales: Sequence[int], blocks: int, attention: Sequence[int], augment: int = 9
) -> Shapes:
    noise, embedding, taps = width * (2 if kind == "ncsnpp" else 1), 4 * width, 4 if kind == "ncsnpp" else 2
    shapes: Shapes = {"map_noise.freqs": (noise // 2,)} if kind == "ncsnpp" else {}
    shapes |= {"map_augment.weight": (noise, augment)} if augment else {}
    shapes |= {**layer("map_layer0", embedding, noise), **layer("map_layer1", embedding, embedding)}
    now, skips = width, [width]

    def block(name: str, inner: int, outer: int, *, attends: bool = False) -> None:
        shapes.update(edm_block(name, inner, outer, embedding, kind, attends=attends, taps=taps))

    for level, scale in enumerate(scales):
        r = f"{side >> level}x{side >> level}"
        if level == 0:
            shapes |= layer(f"enc.{r}_conv", width, 3, 3, 3)
        else:
            block(f"enc.{r}_down", now, now)
            if kind == "ncsnpp":
                beside = 3 if level == 1 else scales[level - 2] * width
                shapes |= layer(f"enc.{r}_aux_residual", now, beside, 3, 3)
                shapes[f"enc.{r}_aux_residual.resample_filter"] = (1, 1, taps, taps)
            skips.append(now)
        for n in range(blocks):
            block(f"enc.{r}_block{n}", now, scale * width, attends=side >> level in attention)
            now = scale * width
            skips.append(now)
    for level in reversed(range(len(scales))):
        r = f"{side >> level}x{side >> level}"
        if level == len(scales) - 1:
            block(f"dec.{r}_in0", now, now, attends=True)
            block(f"dec.{r}_in1", now, now)
        else:
            block(f"dec.{r}_up", now, now)
        for n in range(blocks + 1):
            attends = side >> level in attention and (kind == "adm" or n == blocks)
            block(f"dec.{r}_block{n}", now + skips.pop(), scales[level] * width, attends=attends)
            now = scales[level] * width
    if kind == "adm":
        return {**shapes, **layer("out_norm", now), **layer("out_conv", 3, now, 3, 3)}
    return {**shapes, **layer(f"dec.{side}x{side}_aux_norm", now), **layer(f"dec.{side}x{side}_aux_conv", 3, now, 3, 3)}


def edm(tensors: Tensors, x: Tensor, level: Tensor) -> Tensor:
    """F of images whose sides the scales divide, at ln(s) / 4, (B,)."""
    is_adm, eps = "out_conv.bias" in tensors, 1e-5 if "out_conv.bias" in tensors else 1e-6
    half = 1.0 if is_adm else math.sqrt(0.5)

    def of(name: str) -> tuple[Tensor, Tensor]:
        return tensors[f"{name}.weight"], tensors[f"{name}.bias"]

    def norm(name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, min(32, x.shape[1] // 4), *of(name), eps=eps)

    def conv(name: str, x: Tensor, change: str = "") -> Tensor:
        if change:
            taps = tensors[f"{name}.resample_filter"].repeat(x.shape[1], 1, 1, 1)
            margin = {2: 0, 4: 1}[taps.shape[-1]]
            if change == "down":
                x = F.conv2d(x, taps, stride=2, padding=margin, groups=x.shape[1])
            else:
                x = F.conv_transpose2d(x, 4 * taps, stride=2, padding=margin, groups=x.shape[1])
        if f"{name}.weight" not in tensors:
            return x
        weight, bias = of(name)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    def block(name: str, x: Tensor) -> Tensor:
        change = next((change for change in ("down", "up") if name.endswith(change)), "")
        h = conv(f"{name}.conv0", F.silu(norm(f"{name}.norm0", x)), change)
        affine = F.linear(embedding, *of(f"{name}.affine"))[:, :, None, None]
        if is_adm:
            scale, shift = affine.chunk(2, 1)
            h = F.silu(norm(f"{name}.norm1", h) * (scale + 1) + shift)
        else:
            h = F.silu(norm(f"{name}.norm1", h + affine))
        h = conv(f"{name}.conv1", h)
        bends = f"{name}.skip.weight" in tensors or change
        x = half * (h + (conv(f"{name}.skip", x, change) if bends else x))
        if f"{name}.qkv.bias" not in tensors:
            return x
        channels = x.shape[1]
        width = 64 if is_adm else channels
        qkv = conv(f"{name}.qkv", norm(f"{name}.norm2", x)).flatten(2)
        out = []
        for first in range(0, 3 * channels, 3 * width):
            q, k, v = (qkv[:, first + part : first + 3 * width : 3] for part in range(3))
            out.append(v @ (k.transpose(1, 2) @ q / math.sqrt(width)).softmax(1))
        return half * (x + conv(f"{name}.proj", torch.cat(out, 1).reshape(x.shape)))

    noise = tensors["map_layer0.weight"].shape[1]
    if "map_noise.freqs" in tensors:
        phase = 2 * math.pi * level[:, None] * tensors["map_noise.freqs"]
    else:
        place = torch.arange(noise // 2) / (noise // 2 - (0 if is_adm else 1))
        phase = level[:, None] * (1 / 10000) ** place
    first, second = (phase.cos(), phase.sin()) if is_adm else (phase.sin(), phase.cos())
    embedding = F.silu(F.linear(torch.cat([first, second], 1), *of("map_layer0")))
    embedding = F.silu(F.linear(embedding, *of("map_layer1")))
    names = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in tensors))
    skips, beside = [], x
    for name in (name for name in names if name.startswith("enc.")):
        if name.endswith("_aux_residual"):
            weight, bias = of(name)
            taps = tensors[f"{name}.resample_filter"].repeat(len(weight), 1, 1, 1)
            fused = F.conv2d(F.conv2d(beside, weight, padding=2), taps, stride=2, groups=len(weight))
            x = beside = skips[-1] = (x + fused + bias[:, None, None]) / math.sqrt(2)
        else:
            x = conv(name, x) if name.endswith("_conv") else block(name, x)
            skips.append(x)
    for name in (name for name in names if name.startswith("dec.") and "_aux_" not in name):
        x = block(name, torch.cat([x, skips.pop()], 1) if "_block" in name else x)
    if is_adm:
        return conv("out_conv", F.silu(norm("out_norm", x)))
    (fine,) = (name for name in names if name.endswith("_aux_conv"))
    return conv(fine, F.silu(norm(fine.replace("conv", "norm"), x)))


FILES: dict[str, Shapes] = {  # small networks under the names of published files
    "drunet_gray.pth": drunet_shapes(1, (4, 6, 8, 10), 1),
    "drunet_color.pth": drunet_shapes(3, (4, 6, 8, 10), 1),
    "drunet_deepinv_gray.pth": drunet_shapes(1, (4, 6, 8, 10), 1),
    "dncnn_25.pth": kair_shapes(1, 1, 5, 6),
    "dncnn_color_blind.pth": kair_shapes(3, 3, 20, 4),
    "ffdnet_gray.pth": kair_shapes(5, 4, 4, 6),
    "ffdnet_color.pth": kair_shapes(13, 12, 4, 6),
    "net_gray.pth": ipol_shapes(1, 4, 6),
    "net_rgb.pth": ipol_shapes(3, 4, 6),
    "256x256_diffusion_uncond.pt": adm_shapes(64, (1, 1), 1, (1,)),
    "edm-ffhq-64x64-uncond-vp.pt": edm_shapes("ddpmpp", 16, 8, (1, 2), 1, (8,)),
    "ircnn_gray.pth": {f"{n}.{k}": v for n in range(25) for k, v in kair_shapes(1, 1, 7, 4).items()},
}
