"""Time of a network's evaluation with the allocator of ``idm``, beside the allocator as it comes.

    python -m benchmarks.allocator --side 512

Each way is a process of its own, in turn with the other. CPU time, page faults and the peak of the memory of each.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from idmcli.allocator import keep_large_blocks

CALLS = 3


def measured(side: int) -> dict[str, float]:
    """CPU seconds of one of some evaluations of ``prior-grey``, page faults and MiB of the whole process."""
    import torch

    from idmcli.models import shipped_weights
    from idmcli.priors import load_prior

    torch.set_num_threads(1)
    prior: Any = load_prior(shipped_weights("prior-grey"))
    x, sigma, seconds = torch.rand(1, 1, side, side), torch.full((1, 1, 1, 1), 0.1), []
    with torch.no_grad():
        for _ in range(1 + CALLS):
            start = time.process_time()
            prior(x, sigma)
            seconds.append(time.process_time() - start)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"seconds": min(seconds[1:]), "faults": usage.ru_minflt, "MiB": usage.ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=("plain", "kept"), help="measure one, in this process")
    arguments = parser.parse_args()
    if arguments.way:
        if arguments.way == "kept":
            keep_large_blocks()
        print(json.dumps(measured(arguments.side)))
        return
    found: dict[str, list[dict[str, float]]] = {"plain": [], "kept": []}
    for _ in range(arguments.rounds):
        for way, rows in found.items():
            command = [sys.executable, "-m", "benchmarks.allocator", "--side", str(arguments.side), "--way", way]
            rows.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    for way, rows in found.items():
        medians = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        print(f"{way:6s} {medians['seconds']:.3f} s  {medians['faults']:.0f} faults  {medians['MiB']:.0f} MiB")
    ratios = [plain["seconds"] / kept["seconds"] for plain, kept in zip(*found.values(), strict=True)]
    print(f"faster by {statistics.median(ratios):.3f} (median of {len(ratios)})")


if __name__ == "__main__":
    main()
