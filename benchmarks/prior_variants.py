"""What network, optimiser, loss and noise levels do to a prior, at the same wall-clock time each.

    python benchmarks/prior_variants.py --data BSDS400 --seconds 300

Trains the network of preset prior-grey as it is, and with one thing changed at a time: each for the given time
from the same start, one after the other on the same machine. Prints the PSNR of held-out crops at three noise
levels. The learning-rate schedule fits the time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from idmcli import learned
from idmcli.config import Config, load_config
from idmcli.distributed import Processes
from idmcli.models.denoiser import Denoiser
from idmcli.reversible.coupling import ReversibleGroup
from idmcli.runs.build import build_stage
from idmcli.training.loop import train
from idmcli.training.pictures import Pictures, find_pictures
from idmcli.training.progress import Progress
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step

Build = Callable[[Denoiser], Denoiser]
Variant = tuple[Config, Build]


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


def unwired(model: Denoiser) -> Denoiser:
    unet = model.unet
    unet.middle = Chain(unet.middle)
    for groups in (unet.down, unet.up):
        for index, group in enumerate(groups):
            groups[index] = Chain(group)
    return model


def variants(base: Config) -> dict[str, Variant]:
    """Configurations by name, and what is done to the network they describe."""

    def changed(build: Build = lambda model: model, **sections: dict[str, Any]) -> Variant:
        parts = {name: replace(getattr(base, name), **values) for name, values in sections.items()}
        return replace(base, **parts), build

    return {
        "as shipped": changed(),
        "adamw": changed(training={"optimizer": "adamw"}),
        "no couplings": changed(unwired),
        "channels 32/96/192, blocks 2/2/2": changed(model={"channels": (32, 96, 192), "blocks": (2, 2, 2)}),
        "blocks 8/2/2": changed(model={"blocks": (8, 2, 2)}),
        "noise level inferred": changed(model={"noise_map": False}),
        "levels up to 0.5": changed(training={"sigma_max": 0.5}),
        "loss l2": changed(training={"loss": "l2"}),
        "loss psnr": changed(training={"loss": "psnr"}),
    }


def run(config: Config, pictures: Pictures, iterations: int, build: Build) -> tuple[float, dict[str, float]]:
    """Seconds taken and validation scores of a run."""
    settings = replace(config.training, iterations=iterations, warmup=min(100, iterations), validate_every=iterations)
    config = replace(config, training=settings)
    torch.manual_seed(0)
    model = build(learned.build(config))
    processes = Processes(torch.device("cpu"))
    stage, step = build_stage(config, pictures, processes.device), Step(model, settings)
    with tempfile.TemporaryDirectory() as folder:
        start, run = time.perf_counter(), RunFolder(Path(folder))
        with run.locked():
            last = train(step, stage, run, processes, lambda line: None, Progress())
        assert last is not None and last.validation is not None
        return time.perf_counter() - start, dict(last.validation.scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seconds", type=float, default=300)
    arguments = parser.parse_args()
    base = load_config("prior-grey").config
    pictures = find_pictures([arguments.data], base, cache=2**33, workers=1, warn=print)
    for name, (config, build) in variants(base).items():
        few, more = (run(config, pictures, n, build)[0] for n in (5, 35))  # both validate once
        iterations = max(30, round(30 * arguments.seconds / (more - few)))
        seconds, scores = run(config, pictures, iterations, build)
        text = "  ".join(f"{key} {value:.2f} dB" for key, value in scores.items())
        print(f"{name:32s} {iterations:6d} iterations in {seconds:5.0f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
