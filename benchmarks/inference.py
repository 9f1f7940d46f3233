"""Time of a reconstruction with the full-size network against the released code's way of running it.

    python benchmarks/inference.py --side 128

The weights are random: time does not depend on them. The reference runs diffusers' blocks as they are, in float32
and contiguous format, with every coupling written as ``(1 - v) F(x) + v h``. All ways run in turn, in one
process, and the medians are compared; ``error`` is the largest difference from the reference, relative to its
largest value.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from idmcli.models.compiled import compile_blocks
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.models.winograd import use_winograd
from idmcli.operators import CompressedSensing
from idmcli.reversible.coupling import Coupling


class AsReleased(Coupling):
    def forward(self, function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return (1 - self.v) * function(x) + self.v * h, x


def as_released(model: InvertibleDiffusion) -> InvertibleDiffusion:
    model = copy.deepcopy(model).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in model.modules():
        if isinstance(module, Coupling):
            module.__class__ = AsReleased
    unet = model.denoiser.unet
    inner = unet.forward
    unet.forward = lambda x, *rest: inner(x.contiguous(), *rest)  # type: ignore[method-assign]
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--T", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", default="channels-last,winograd")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    network = StableDiffusionConfig(steps=arguments.T)
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(network, 0.0))).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "to_features" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    model.to(device)
    shape = (1, arguments.side, arguments.side)
    operator = CompressedSensing(shape, 0.1).to(device)
    y = operator.A(torch.rand(1, *shape, device=device))

    ways = {"as released": as_released(model)}
    for name in arguments.ways.split(","):
        ways[name] = copy.deepcopy(model)
        if "winograd" in name:
            use_winograd(ways[name])
        if "compile" in name:
            compile_blocks(ways[name])
    seconds: dict[str, list[float]] = {}
    results: dict[str, Tensor] = {}
    for round_ in range(arguments.rounds + 1):  # the first warms up
        for name, way in ways.items():
            for precision in ["float32"] if name == "as released" or device.type == "cpu" else ["float32", "bf16"]:
                start = time.perf_counter()
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                    results[f"{name} {precision}"] = way(y, operator)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if round_:
                    seconds.setdefault(f"{name} {precision}", []).append(time.perf_counter() - start)
    reference = results["as released float32"]
    base = statistics.median(seconds["as released float32"])
    print(f"T = {arguments.T}, {arguments.side}x{arguments.side}, {device}, {torch.get_num_threads()} CPU threads")
    print(f"{'way':24s} {'ms':>9s} {'faster':>7s} {'error':>9s}")
    for name, x in results.items():
        median = statistics.median(seconds[name])
        error = float((x - reference).abs().max() / reference.abs().max())
        print(f"{name:24s} {1000 * median:9.1f} {base / median:6.2f}x {error:9.1e}")


if __name__ == "__main__":
    main()
