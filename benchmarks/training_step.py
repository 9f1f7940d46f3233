"""Time and exactness of one training step of the full-size network, for each memory plan.

    python benchmarks/training_step.py --T 12
    python benchmarks/training_step.py --T 3 --device cuda --plans plain,unet,both,budget:0.2,budget:0.05

Times are ratios to plain autograd: every round runs all plans once, in turn, and the medians over rounds are
compared. A plan such as ``unet:9`` keeps group boundaries in the last 9 steps and images only before them.
``budget:0.2`` is plain autograd compiled by PyTorch, which then keeps a fifth of the activations
(``torch._functorch.config.activation_memory_budget``): compare it with the plan of the same peak, which a GPU measures.
Errors are of the gradients, relative to those of plain autograd from the same weights: of all parameters
together, and of the worst. The memory of each plan is what ``idm bench-memory`` computes.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor
from torch._functorch import config as functorch

from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.models.unet import UNetConfig
from idmcli.operators import CompressedSensing
from idmcli.reversible.plan import NAMED, Plan, named_plan

BUDGET = "budget:"


def plan_of(text: str, steps: int) -> Plan:
    if text.startswith(BUDGET):
        return named_plan("plain", steps)
    name, _, kept = text.partition(":")
    if not kept:
        return named_plan(next(known for known in NAMED if known == name), steps)
    return (NAMED["both"],) * (steps - int(kept)) + (NAMED["unet"],) * int(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--T", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plans", default="plain,checkpoint,unet,sampler,both")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    tiny = UNetConfig(channels=(16, 32), blocks=(1, 1), steps=arguments.T)
    network = tiny if arguments.size == "tiny" else StableDiffusionConfig(steps=arguments.T)
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(network, 0.0))).to(arguments.device)
    for name, parameter in model.named_parameters():
        if "to_features" in name:  # injectors start as the identity: give them something to do
            torch.nn.init.normal_(parameter, std=0.02)
    shape = (1, arguments.side, arguments.side)
    operator = CompressedSensing(shape, 0.1).to(arguments.device)
    x = torch.rand(arguments.batch, *shape, device=arguments.device)
    y = operator.A(x)

    names = arguments.plans.split(",")
    plans = {name: plan_of(name, arguments.T) for name in names}
    budgets = {name: float(name.removeprefix(BUDGET)) for name in names if name.startswith(BUDGET)}
    compiled = {name: torch.compile(model.forward, dynamic=False) for name in budgets}
    torch._dynamo.config.recompile_limit = 1 + len(budgets)  # the same code once for each budget
    peaks: dict[str, int] = {}

    def step(name: str) -> tuple[float, list[Tensor]]:
        if x.is_cuda:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        with functorch.patch(activation_memory_budget=budgets.get(name, 1.0)):
            loss = (compiled.get(name, model)(y, operator, plans.get(name)) - x).abs().mean()
            gradients = torch.autograd.grad(loss, list(model.parameters()))
        if x.is_cuda:
            torch.cuda.synchronize()
            peaks[name] = torch.cuda.max_memory_allocated()
        return time.perf_counter() - start, [gradient.detach() for gradient in gradients]

    _, exact = step("exact")  # plain autograd; also warms up
    errors = {}
    for name in names:
        _, found = step(name)
        each = [float((a - b).norm() / b.norm().clamp_min(1e-30)) for a, b in zip(found, exact, strict=True)]
        together = sum(float((a - b).norm() ** 2) for a, b in zip(found, exact, strict=True))
        errors[name] = (together / sum(float(b.norm() ** 2) for b in exact)) ** 0.5, max(each)
        del found
    del exact
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name in names:
            seconds[name].append(step(name)[0])
    base = statistics.median(seconds[names[0]])
    a = arguments
    print(f"T = {a.T}, batch {a.batch}, {a.side}x{a.side}, {a.device}, {torch.get_num_threads()} CPU threads")
    print(f"{'plan':12s} {'seconds':>8s} {'ratio':>6s} {'error':>9s} {'worst':>9s} {'peak MiB':>9s}")
    for name in names:
        median = statistics.median(seconds[name])
        peak = f"{peaks[name] / 2**20:9.0f}" if name in peaks else f"{'':9s}"
        print(f"{name:12s} {median:8.2f} {median / base:6.3f} {errors[name][0]:9.1e} {errors[name][1]:9.1e} {peak}")


if __name__ == "__main__":
    main()
