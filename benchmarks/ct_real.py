"""Tomography on real scans: a tooth of few parallel views, and a fan beam over 90 degrees.

"tooth" reconstructs every sixth view of a scan in the layout of DXchange, and states the error relative to the image
of all its views by --reference, within the circle that all views see. SIRT is computed here, for comparison.

"fan" joins scans of the Helsinki tomography challenge, thresholds the image by Otsu's method, and states the Matthews
correlation with the published segmentation.

    python -m benchmarks.ct_real --data DIR --part tooth --side 320
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.api import reconstruct
from idmcli.importing import import_item
from idmcli.io.images import read_image
from idmcli.io.items import Item
from idmcli.measuring import Measurement
from idmcli.operators import FanBeamCT, ParallelBeamCT, Tomography

SCANS = ("htc2022_ta_sparse_example.mat", "ta_category7.mat")  # 60 and 30 degrees of one object
SEGMENTATION = "ta_full_seg.png"
STEP = 6  # 31 of 181 views


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of tooth.h5 and of the challenge's files")
    parser.add_argument("--part", choices=["tooth", "fan"], required=True)
    parser.add_argument(
        "--side",
        type=int,
        default=320,
        help="pixels of a side; for the tooth a divisor of its 640 cells",
    )
    parser.add_argument("--methods", default="fbp,sirt,tv,hqs")
    parser.add_argument("--reference", default="fbp", help="the method for all views: fbp or tv")
    arguments = parser.parse_args()
    methods = arguments.methods.split(",")
    if arguments.part == "tooth":
        tooth(arguments.data, arguments.side, methods, arguments.reference)
    else:
        fan(arguments.data, arguments.side, methods)


def tooth(data: Path, side: int, methods: list[str], reference: str) -> None:
    scan, assumed = import_item(Item(data / "tooth.h5", 1), {"axis": "auto"})
    print("\n".join(assumed))
    every = binned(scan, scan.operator.measurement_shape[2] // side)
    truth = image_by(reference, every)
    few = some_views(every, STEP)
    seen = circle(
        side, min(few.operator.axis, few.operator.measurement_shape[2] - 1 - few.operator.axis) * few.operator.pitch
    )
    print(f"{few.operator.measurement_shape[1]} views, {side} x {side} pixels, against {reference} of all views")
    for method in methods:
        start = time.perf_counter()
        image = image_by(method, few)
        print(f"{method:8s} {error(image, truth, seen):.3f} {time.perf_counter() - start:7.1f} s", flush=True)


def fan(data: Path, side: int, methods: list[str]) -> None:
    truth = read_image(data / SEGMENTATION).pixels > 0.5  # its pixels are detector cells as they are seen at the axis
    given = {"shape": (side, side), "pixel": len(truth) / side}
    m = joined([import_item(Item(data / name), given)[0] for name in SCANS])
    print(f"{m.operator.measurement_shape[1]} views over 90 degrees, {side} x {side} pixels")
    for method in methods:
        start = time.perf_counter()
        image = image_by(method, m)
        seconds = time.perf_counter() - start
        large = np.kron(image, np.ones((truth.shape[0] // side,) * 2))
        print(f"{method:8s} {matthews(large > otsu(image), truth):.3f} {seconds:7.1f} s", flush=True)


def image_by(method: str, m: Measurement) -> NDArray[np.float32]:
    """The image, in the unit of y."""
    if method == "sirt":
        return sirt(m.operator, m.y)
    return np.asarray(reconstruct(m, method=method), np.float32).squeeze()


def sirt(operator: Tomography, y: Tensor, iterations: int = 200) -> NDArray[np.float32]:
    """``x + C A^T R (y - A x)``, clipped at 0, with the inverse sums R of rows and C of columns (Gilbert, 1972)."""
    ones = torch.ones(1, *operator.image_shape)
    rows = operator.A(ones)
    columns = operator.AT(torch.ones_like(y[None]))
    x = torch.zeros_like(ones)
    for _ in range(iterations):
        step = operator.AT((y[None] - operator.A(x)) / rows.clamp_min(1e-3)) / columns.clamp_min(1e-3)
        x = (x + step).clamp_min(0)
    return np.asarray(x[0, 0].numpy())


def binned(m: Measurement, cells: int) -> Measurement:
    """Means of so many neighbouring detector cells, which become the pixels' side."""
    _, views, detectors = m.operator.measurement_shape
    y = m.y.view(1, views, detectors // cells, cells).mean(-1)
    axis, side = (m.operator.axis - (cells - 1) / 2) / cells, detectors // cells
    operator = ParallelBeamCT((1, side, side), m.operator.degrees, detectors=side, axis=axis, origin="middle")
    return Measurement(operator, y, m.noise / cells**0.5, None)


def some_views(m: Measurement, step: int) -> Measurement:
    """Every ``step``-th view of parallel beams."""
    all_of = m.operator
    few = ParallelBeamCT(
        all_of.image_shape,
        all_of.degrees[::step],
        detectors=all_of.measurement_shape[2],
        axis=all_of.axis,
        origin=all_of.origin,
        pitch=all_of.pitch,
    )
    return Measurement(few, m.y[:, ::step].clone(), m.noise, None)


def joined(scans: list[Measurement]) -> Measurement:
    """The views of several scans of one object."""
    first = scans[0].operator
    every = FanBeamCT(
        first.image_shape,
        [angle for m in scans for angle in m.operator.degrees],
        source_axis=first.source_axis,
        source_detector=first.source_detector,
        pitch=first.pitch,
        pixel=first.pixel,
        detectors=first.measurement_shape[2],
        axis=first.axis,
        origin=first.origin,
    )
    return Measurement(every, torch.cat([m.y for m in scans], 1), scans[0].noise, None)


def circle(side: int, radius: float) -> NDArray[np.bool_]:
    """The pixels within a circle, 2 % inside its edge."""
    place = np.arange(side) - (side - 1) / 2
    return np.asarray(np.hypot(place, place[:, None]) < 0.98 * min(radius, side / 2))


def error(image: NDArray[np.float32], truth: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    return float(np.linalg.norm((image - truth)[where]) / np.linalg.norm(truth[where]))


def otsu(image: NDArray[np.float32]) -> float:
    """The threshold that separates two classes best (Otsu, 1979)."""
    counts, edges = np.histogram(image, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, above = counts.cumsum(), counts[::-1].cumsum()[::-1]
    lower = (counts * middles).cumsum() / np.maximum(below, 1)
    upper = (counts * middles)[::-1].cumsum()[::-1] / np.maximum(above, 1)
    between = below[:-1] * above[1:] * (lower[:-1] - upper[1:]) ** 2
    return float(middles[between.argmax()])


def matthews(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return float(np.corrcoef(found.ravel(), truth.ravel())[0, 1])


if __name__ == "__main__":
    main()
