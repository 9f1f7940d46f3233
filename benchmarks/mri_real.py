"""Reconstruction of a real slice that was fully sampled and is undersampled afterwards.

    python -m benchmarks.mri_real --data kspace/full.cfl

The slice goes through `idm import` and `idm reconstruct` with their defaults. Printed is, for each undersampling and
method, the error of the magnitude against the root-sum-of-squares of all coils' full images,
``|x - r| / |r|`` over the object (where r exceeds 8 % of its maximum), and the seconds of one processor core. With
`--bart` it runs BART too, if it is installed: maps by `ecalib`, and `pics` with three penalties, each at the best of
three weights.
"""

from __future__ import annotations

import argparse
import ast
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from idmcli.config import SolverConfig
from idmcli.importing.base import Assumptions
from idmcli.importing.mri.importer import IMPORTER, KSpaceImportOptions
from idmcli.io.formats import KSpace, format_of
from idmcli.io.items import Item
from idmcli.methods import Methods, solve

CG_ITERATIONS = 10  # stopped early, before noise is blown up
OBJECT = 0.08  # of the brightest
CENTRE = 24  # points a side, for the coil maps
WEIGHTS = {"l2": (0.003, 0.01, 0.03), "W": (0.001, 0.002, 0.004), "T": (0.002, 0.004, 0.008)}  # of BART's penalties
BART = {"l2": ["-l2"], "W": ["-RW:7:0:{}"], "T": ["-RT:7:0:{}"]}
Mask = NDArray[np.bool_]
Complex = NDArray[np.complex64]


def centre(shape: tuple[int, int], rows: int, columns: int) -> Mask:
    mask = np.zeros(shape, bool)
    top, left = shape[0] // 2 - rows // 2, shape[1] // 2 - columns // 2
    mask[top : top + rows, left : left + columns] = True
    return mask


def both_axes(shape: tuple[int, int]) -> Mask:
    """Every second row of every second column, and the centre."""
    mask = centre(shape, CENTRE, CENTRE)
    mask[::2, ::2] = True
    return mask


def random_lines(shape: tuple[int, int]) -> Mask:
    """A quarter of the lines, 16 of them in the centre."""
    line = centre((1, shape[1]), 1, 16)[0]
    others = np.flatnonzero(~line)
    line[np.random.default_rng(0).choice(others, shape[1] // 4 - 16, replace=False)] = True
    return np.broadcast_to(line, shape)


def regular_lines(shape: tuple[int, int]) -> Mask:
    """Every fourth line, and the centre."""
    mask = centre(shape, shape[0], CENTRE)
    mask[:, ::4] = True
    return mask


def poisson(shape: tuple[int, int]) -> Mask:
    """Points in random order, each taken unless one nearer than a distance is, which grows from the centre."""
    mask = centre(shape, CENTRE, CENTRE)
    rows, columns = np.indices(shape)
    radius = np.hypot((rows - shape[0] // 2) / shape[0], (columns - shape[1] // 2) / shape[1])
    reach = 1.1 + 2.7 * radius
    for point in np.random.default_rng(0).permutation(mask.size):
        row, column = divmod(int(point), shape[1])
        r = reach[row, column]
        near = np.s_[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
        distances = np.hypot(rows[near] - row, columns[near] - column)
        mask[row, column] |= not (mask[near] & (distances < r)).any()
    return mask


MASKS: dict[str, Callable[[tuple[int, int]], Mask]] = {
    "2 x 2 regular": both_axes,
    "1-D random": random_lines,
    "1-D regular": regular_lines,
    "2-D Poisson": poisson,
}


def root_sum_of_squares(samples: Complex) -> NDArray[np.float32]:
    centred = np.fft.ifftshift(samples, (1, 2))
    images = np.fft.fftshift(np.fft.ifft2(centred, norm="ortho"), (1, 2))
    return np.sqrt((np.abs(images) ** 2).sum(0))


def error(x: NDArray[np.float32], r: NDArray[np.float32]) -> float:
    inside = r > OBJECT * r.max()
    return float(np.linalg.norm((x - r)[inside]) / np.linalg.norm(r[inside]))


def ours(scan: KSpace, name: str | None, options: dict[str, float]) -> tuple[NDArray[np.float32], str]:
    """The magnitude by a method, the default if None, and what is told of it."""
    started = time.process_time()
    assumptions = Assumptions()
    m = IMPORTER.measure(scan, KSpaceImportOptions(), Item(Path("scan")), assumptions)
    imported = time.process_time()
    if name == "CG-SENSE":
        x = m.operator.solve(m.y[None], max_iterations=CG_ITERATIONS).x[0, 0].abs().numpy()
        return x, f"{imported - started:5.1f} s import, {time.process_time() - imported:5.1f} s"
    methods = Methods(torch.device("cpu"), precision="float32")
    settings = SolverConfig(method=name, options=options)
    result = solve(m, methods.method(None, m.operator, None, settings, noise=m.noise))
    told = f"{imported - started:5.1f} s import, {time.process_time() - imported:5.1f} s, noise {m.noise:.3g}"
    return result.raw[0, 0].abs().numpy(), told


def write_cfl(path: Path, values: Complex) -> None:
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, values.shape))}\n")
    values.astype(np.complex64).ravel("F").tofile(path.with_suffix(".cfl"))


def bart(samples: Complex, penalty: str, weight: float) -> tuple[NDArray[np.float32], str]:
    """The magnitude by BART, on one core."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cfl(folder / "k", samples.transpose(1, 2, 0)[None])

        def run(*arguments: str) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            environment = {"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
            subprocess.run(["bart", *arguments], cwd=folder, check=True, capture_output=True, env=environment)
            return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

        maps = run("ecalib", "-m1", "-r24", "k", "s")
        given = [text.format(weight) for text in BART[penalty]]
        image = run("pics", "-S", *given, "-r", str(weight), "-i", "100", "k", "s", "x")
        x = np.fromfile(folder / "x.cfl", np.complex64).reshape(samples.shape[1:], order="F")
    return np.abs(x), f"{maps:5.1f} s maps,   {image:5.1f} s, weight {weight}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a fully sampled slice with both axes phase-encoded")
    parser.add_argument("--only", choices=MASKS, action="append", help="these undersamplings")
    parser.add_argument("--methods", nargs="*", default=["CG-SENSE", "tv"], help="beside the default")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="options of hqs")
    parser.add_argument("--bart", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    item = Item.parse(arguments.data)
    format = format_of(item.path)
    if format is None:
        parser.error(f"{item} is of no format that idm knows")
    full: KSpace = format.read(item)
    r = root_sum_of_squares(full.samples)
    options = {key: ast.literal_eval(value) for key, _, value in (text.partition("=") for text in arguments.set)}
    for name in arguments.only or MASKS:
        mask = MASKS[name](full.sampled.shape)
        scan = replace(full, samples=full.samples * mask, sampled=mask)
        print(f"{name}, R = {1 / mask.mean():.2f}", flush=True)
        print(f"  zero-filled   {error(root_sum_of_squares(scan.samples), r):.4f}", flush=True)
        if arguments.bart and shutil.which("bart"):
            for penalty, weights in WEIGHTS.items():
                tried = [bart(scan.samples, penalty, weight) for weight in weights]
                x, told = min(tried, key=lambda pair: error(pair[0], r))
                print(f"  BART {penalty:<8} {error(x, r):.4f}  {told}", flush=True)
        for method in [None, *arguments.methods]:
            x, told = ours(scan, method, options if method is None else {})
            print(f"  {method or 'default':<13} {error(x, r):.4f}  {told}", flush=True)


if __name__ == "__main__":
    main()
