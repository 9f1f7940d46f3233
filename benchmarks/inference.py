"""Time of a reconstruction with the full-size network against the released code's way of running it.

    python benchmarks/inference.py --sides 64,128,256

The weights are random: time does not depend on them. The reference runs diffusers' blocks as they are, in float32
and contiguous format, with every coupling written as ``(1 - v) F(x) + v h``. All ways run in turn, in one
process, and the medians are compared: of the time that passed, and of the time that the CPU spent on it, which with
one thread says more on a machine that does other things. ``error`` is the largest difference from the reference,
relative to its largest value.
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
from idmcli.operators import CompressedSensing
from idmcli.reversible.coupling import Coupling

RELEASED = "as released"


class AsReleased(Coupling):
    def forward(
        self, function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor, *, overwrite: bool = False
    ) -> tuple[Tensor, Tensor]:
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
    parser.add_argument("--sides", default="64,128,256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--T", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", default="channels-last")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    network = StableDiffusionConfig(steps=arguments.T)
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(network, 0.0))).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if "to_features" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    model.to(device)
    ways = {RELEASED: as_released(model)}
    for name in arguments.ways.split(","):
        ways[name] = copy.deepcopy(model)
        if "compile" in name:
            compile_blocks(ways[name])
    print(f"T = {arguments.T}, {device}, {torch.get_num_threads()} CPU threads")
    print(f"{'way':20s} {'side':>5s} {'ms':>9s} {'faster':>7s} {'CPU ms':>9s} {'faster':>7s} {'error':>9s}")
    for side in map(int, arguments.sides.split(",")):
        compare(ways, side, arguments.rounds, device)


@torch.no_grad()
def compare(ways: dict[str, InvertibleDiffusion], side: int, rounds: int, device: torch.device) -> None:
    operator = CompressedSensing((1, side, side), 0.1).to(device)
    y = operator.A(torch.rand(1, 1, side, side, device=device))
    seconds: dict[str, list[tuple[float, float]]] = {}
    results: dict[str, Tensor] = {}
    for round_ in range(rounds + 1):  # the first warms up
        for name, way in ways.items():
            for precision in ["float32"] if name == RELEASED or device.type == "cpu" else ["float32", "bf16"]:
                start, used = time.perf_counter(), time.process_time()
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                    results[f"{name} {precision}"] = way(y, operator)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                taken = time.perf_counter() - start, time.process_time() - used
                if round_:
                    seconds.setdefault(f"{name} {precision}", []).append(taken)
    medians = {
        name: [statistics.median(column) for column in zip(*all_, strict=True)] for name, all_ in seconds.items()
    }
    reference, base = results[f"{RELEASED} float32"], medians[f"{RELEASED} float32"]
    for name, x in results.items():
        wall, cpu = medians[name]
        error = float((x - reference).abs().max() / reference.abs().max())
        faster = f"{base[0] / wall:6.2f}x {1000 * cpu:9.1f} {base[1] / cpu:6.2f}x"
        print(f"{name:20s} {side:5d} {1000 * wall:9.1f} {faster} {error:9.1e}", flush=True)


if __name__ == "__main__":
    main()
