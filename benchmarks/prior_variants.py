"""What Muon and the wiring of the U-Net do to the prior, at the same wall-clock time each.

    python benchmarks/prior_variants.py --data BSDS400 --seconds 120

Trains the prior-tiny network with Muon, with AdamW, and with Muon but without couplings (the same modules
one after the other), each for the given time from the same start, one after the other on the same machine, and
prints the PSNR of held-out crops at three noise levels. The learning-rate schedule fits the time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from idmcli.config import Config, load_config
from idmcli.models.denoiser import Denoiser
from idmcli.models.zoo import build_model
from idmcli.reversible.coupling import ReversibleGroup
from idmcli.training.build import build_stage
from idmcli.training.loop import train
from idmcli.training.pictures import Pictures, find_pictures
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step
from idmcli.training.world import World


class Chain(nn.Module):
    """The modules of a reversible group without the couplings."""

    def __init__(self, group: ReversibleGroup) -> None:
        super().__init__()
        self.modules_ = group.modules_

    def forward(self, x: Tensor, context: object = None, memory: str = "plain") -> list[Tensor]:
        x = x.float()  # as in a group, the stream stays in float32 under autocast
        for module in self.modules_:
            x = module(x, context)
        return [x]


def unwire(model: Denoiser) -> None:
    unet = model.unet
    unet.middle = Chain(unet.middle)
    for groups in (unet.down, unet.up):
        for index, group in enumerate(groups):
            groups[index] = Chain(group)


def run(config: Config, pictures: Pictures, iterations: int, wired: bool) -> tuple[float, dict[str, float]]:
    """Seconds taken and validation scores of a run."""
    settings = replace(config.training, iterations=iterations, warmup=min(100, iterations), validate_every=iterations)
    config = replace(config, training=settings)
    model = build_model(config)
    if not wired:
        unwire(model)
    world = World(torch.device("cpu"))
    stage, step = build_stage(config, pictures, world.device), Step(model, settings)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        last = train(step, stage, RunFolder(Path(folder)), world, lambda line: None)
        assert last is not None and last.validation is not None
        return time.perf_counter() - start, dict(last.validation.scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    base = load_config("prior-tiny").config
    pictures = find_pictures([arguments.data], base, cache=2**33, workers=1, warn=print)
    adamw = replace(base, training=replace(base.training, optimizer="adamw"))
    for name, config, wired in (
        ("muon, wired", base, True),
        ("adamw, wired", adamw, True),
        ("muon, plain", base, False),
    ):
        probe, _ = run(config, pictures, 30, wired)
        iterations = max(30, round(30 * arguments.seconds / probe))
        seconds, scores = run(config, pictures, iterations, wired)
        text = "  ".join(f"{key} {value:.2f} dB" for key, value in scores.items())
        print(f"{name:14s} {iterations:6d} iterations in {seconds:5.0f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
