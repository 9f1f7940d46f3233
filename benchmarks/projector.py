"""What the CT projector gains by keeping its weights.

Each way is timed in every round, A and its transpose, and its least time compared with that of a projector that
computes indices and weights in every call. "made" is ours where nothing is kept; "radon" is scikit-image's, of the
projection alone; "astra" is ASTRA's on the CPU, where it is installed. The first of --ways is what others are compared
with; "gather" takes minutes for 720 views of 512 x 512.

    python benchmarks/projector.py --sides 256 --views 25,60,180
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from idmcli.operators import ParallelBeamCT

Way = tuple[Callable[[], Tensor], Callable[[], Tensor] | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", default="256")
    parser.add_argument("--views", default="25,60,180")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", default="gather,kept,made,radon,astra")
    arguments = parser.parse_args()
    print(f"{torch.get_num_threads()} CPU threads")
    print(
        f"{'side':>5s} {'views':>5s} {'way':8s} {'A ms':>9s} {'faster':>8s} {'A^T ms':>9s} {'faster':>8s} {'error':>8s}"
    )
    for side in map(int, arguments.sides.split(",")):
        for views in map(int, arguments.views.split(",")):
            compare(side, views, arguments.rounds, arguments.ways.split(","))


def compare(side: int, views: int, rounds: int, chosen: list[str]) -> None:
    operator = ParallelBeamCT((1, side, side), views)
    x = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    y = operator.A(x)
    ways: dict[str, Way] = {
        "gather": (lambda: gather(x[0, 0], views, y.shape[3]), lambda: gather_transpose(y[0, 0], side)),
        "kept": (lambda: operator.A(x), lambda: operator.AT(y)),
        "made": (lambda: fresh(side, views).A(x), lambda: fresh(side, views).AT(y)),
    }
    try:
        from skimage.transform import radon

        angles, pixels = np.arange(views) * 180 / views, x[0, 0].numpy()
        ways["radon"] = lambda: torch.from_numpy(radon(pixels, angles, circle=False).T), None
    except ImportError:
        pass
    with suppress(ImportError):
        ways["astra"] = astra_ways(x[0, 0].numpy(), y[0, 0].numpy())
    ways = {name: way for name, way in ways.items() if name in chosen}
    seconds: dict[str, list[list[float]]] = {name: [[], []] for name in ways}
    errors = {}
    for round_ in range(rounds + 1):  # the first warms up
        for name, maps in ways.items():
            for which, apply in enumerate(maps):
                if apply is None:
                    continue
                start = time.perf_counter()
                found = apply()
                if round_:
                    seconds[name][which].append(time.perf_counter() - start)
                if which == 0:
                    errors[name] = float((found.flatten() - y.flatten()).norm() / y.norm())
    base = [min(times) for times in next(iter(seconds.values()))]
    for name, both in seconds.items():
        least = [min(times) if times else float("nan") for times in both]
        cells = " ".join(f"{1000 * t:9.1f} {b / t:7.1f}x" for t, b in zip(least, base, strict=True))
        print(f"{side:5d} {views:5d} {name:8s} {cells} {errors[name]:8.0e}", flush=True)


def astra_ways(x: NDArray[np.float32], y: NDArray[np.float32]) -> Way:
    """The linear projector of ASTRA, which samples rays as ours does, and its transpose."""
    import astra

    angles = np.arange(len(y)) * np.pi / len(y)
    volume, rays = astra.create_vol_geom(*x.shape), astra.create_proj_geom("parallel", 1.0, y.shape[1], angles)
    projector = astra.OpTomo(astra.create_projector("linear", rays, volume))
    return lambda: torch.from_numpy(projector.FP(x)), lambda: torch.from_numpy(projector.BP(y))


def fresh(side: int, views: int) -> ParallelBeamCT:
    return ParallelBeamCT((1, side, side), views)


def gather(x: Tensor, views: int, detectors: int) -> Tensor:
    """The projection, with the two pixels of each crossing gathered by indices that every call computes."""
    side = len(x)
    j, d = centred(side)[:, None], centred(detectors)
    rows, found = torch.arange(side)[:, None] * (side + 4), []
    for cos, sin in directions(views):
        a, b = (cos, -sin) if abs(cos) >= abs(sin) else (-sin, cos)
        flat = pad(x if abs(cos) >= abs(sin) else x.T, (2, 2)).flatten()
        index, fraction = interpolate((d - b * j) / a + side // 2, side)
        index = (index + rows).flatten()
        left, right = (flat.index_select(0, index + k).view(side, detectors) for k in (0, 1))
        found.append(torch.lerp(left, right, fraction.float()).sum(0) / abs(a))
    return torch.stack(found)


def gather_transpose(y: Tensor, side: int) -> Tensor:
    """The transpose, likewise with the two rays of each pixel."""
    x, j, i = y.new_zeros(side, side), centred(side)[:, None], centred(side)
    for ray, (cos, sin) in zip(pad(y, (2, 2)), directions(len(y)), strict=True):
        index, fraction = interpolate(cos * i - sin * j + y.shape[1] // 2, y.shape[1])
        reach = max(abs(cos), abs(sin))
        for k, distance in ((0, fraction), (1, 1 - fraction)):
            weight = (1 - distance / reach).clamp(min=0) / reach
            x += ray.index_select(0, index.flatten() + k).view(side, side) * weight.float()
    return x


def directions(views: int) -> list[tuple[float, float]]:
    angles = np.radians(np.arange(views) * 180 / views)
    return list(zip(np.cos(angles).tolist(), np.sin(angles).tolist(), strict=True))


def centred(size: int) -> Tensor:
    return torch.arange(size, dtype=torch.float64) - size // 2


def interpolate(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    left = position.floor()
    return left.clamp(-2, size).long() + 2, position - left


if __name__ == "__main__":
    main()
