"""Everything that only a GPU can tell, in the minutes there are, and then training for the rest of them.

    python -m benchmarks.gpu --minutes 10 --data BSDS400
    python -m benchmarks.gpu --minutes 3 --small --device cpu     # a rehearsal

Each part is a command with a time limit of its own. What it prints goes into one JSON file, which is written after
each part, so that nothing measured is lost: tests marked gpu; computed against measured peaks of every memory plan;
seconds of a training step of every plan over plain autograd, and of PyTorch's own memory budget beside it; seconds of a
reconstruction in float32, bfloat16 and compiled. The minutes that are left train the prior for photographs from its
shipped weights.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESERVE = 20  # seconds for a training to write its checkpoint


@dataclass(frozen=True)
class Part:
    """A command, and the share of the minutes that it may take at most."""

    name: str
    command: list[str]
    share: float


def parts(device: str, small: bool, training: list[str]) -> list[Part]:
    """The measurements, in this order; the training comes last and takes the remaining time."""
    python, side = [sys.executable], "32" if small else "128"
    memory = [*python, "-m", "idmcli", "benchmark-memory", "--json", "--device", device, "--patch", side]
    memory += ["--size", "tiny"] if small else []
    size = ["--side", "32", "--rounds", "1"] if small else ["--side", "128", "--batch", "4"]
    plans = ["--plans", "plain,unet" if small else "plain,checkpoint,unet,sampler,both"]
    step = [*python, "-m", "benchmarks.training_step", "--device", device, *size, *plans]
    ways = ["--ways", "channels-last" if small else "channels-last,compiled"]
    budgets = [*python, "-m", "benchmarks.training_step", "--device", device, *size, "--rounds", "1", "--plans"]
    budgets += ["plain,budget:0.5", "--size", "tiny"] if small else ["plain,unet,both,budget:0.2,budget:0.05"]
    inference = [*python, "-m", "benchmarks.inference", "--device", device, "--sides", "32" if small else "256", *ways]
    inference += ["--T", "1", "--rounds", "1"] if small else []
    found = [
        Part("tests", [*python, "-m", "pytest", "-m", "gpu", "-q"], 0.25),
        Part("memory, T = 3", [*memory, "--T", "3"], 0.15),
        Part("memory, T = 12", [*memory, "--T", "12"], 0.15),
        Part("training step", [*step, "--T", "1" if small else "3"], 0.15),
        Part("reconstruction", inference, 0.15),
        Part("training step, PyTorch's memory budget", [*budgets, "--T", "1" if small else "3"], 0.25),
    ]
    return [*found, Part("training", training, 1.0)] if training else found


def run(part: Part, seconds: float) -> dict[str, Any]:
    """The command's output, stopped after so many seconds as Ctrl-C would."""
    start = time.perf_counter()
    with subprocess.Popen(part.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                output, _ = process.communicate(timeout=RESERVE)
            except subprocess.TimeoutExpired:
                process.kill()
                output, _ = process.communicate()
    taken = time.perf_counter() - start
    return {"command": " ".join(part.command), "code": process.returncode, "seconds": round(taken, 1), "output": output}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", help="pictures to train on; no training without")
    parser.add_argument("--small", action="store_true", help="a rehearsal on a CPU")
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    training = []
    if a.data:
        training = [sys.executable, "-m", "idmcli", "train", "--preset", "prior-grey", "--init", "prior-grey"]
        training += ["--data", a.data, "--device", a.device, "--out", str(a.out / "prior-grey")]
        training += ["--set", f"training.batch={2 if a.small else 256}", "--set", "training.schedule=constant"]
        training += ["--set", "training.learning_rate=1e-4", "--set", "training.checkpoint_every=50"]
    end = time.monotonic() + 60 * a.minutes
    results: dict[str, Any] = {}
    for part in parts(a.device, a.small, training):
        left = end - time.monotonic() - RESERVE
        if left < RESERVE:
            results[part.name] = {"command": " ".join(part.command), "code": None, "output": "no time was left"}
        else:
            results[part.name] = run(part, min(left, 60 * a.minutes * part.share))
        (a.out / "gpu.json").write_text(json.dumps(results, indent=2))
        print(f"{part.name}: exit {results[part.name]['code']}", flush=True)


if __name__ == "__main__":
    main()
