"""Single-pixel cameras: A+, `tv` and `hqs` on readings of real ones, compared with what was shown to them.

    python -m benchmarks.single_pixel --data single_pixel

The folder holds two published data sets:

- data_exp_Dog_1024.csv: 1024 Hadamard patterns of 32 x 32 pixels, in natural order, at 3 phase steps; dog_amplitude.csv
  and boat_phase.csv, the amplitude and the phase that were displayed.
- Jaszczak_Haar_4_128x128.mat: W, 128 x 128 coefficients of Haar wavelets over four levels, of which a quarter was
  measured; F, the picture of a camera beside the detector, which is not registered.

Printed is the normalised correlation ``|a* b| / (|a| |b|)``: of the complex image with the field that was displayed, of
its magnitude with the amplitude, and of the second image with the camera's picture. A constant image is shown beside
them: where that scores well, the number says little.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse
import torch
from numpy.typing import NDArray

import idmcli
from idmcli.importing import import_item
from idmcli.io.items import Item
from idmcli.measuring import Measurement
from idmcli.operators import Hadamard
from idmcli.operators.hadamard import pattern_rows
from idmcli.tasks.hadamard import coarsest, drawn

METHODS = ("pinv", "tv", "hqs")
SIDE = 32
SHARES = (1.0, 0.5, 0.25, 0.125)
LEVELS = 4  # of the wavelets


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(abs(np.vdot(a, b)) / np.linalg.norm(a) / np.linalg.norm(b))


def with_patterns(m: Measurement, rows: torch.Tensor) -> Measurement:
    """A measurement of all patterns, as if only those of ``rows`` had been shown."""
    return replace(m, operator=Hadamard((1, SIDE, SIDE), rows, complex_image=True), y=m.y[:, rows])


def dog(folder: Path) -> None:
    amplitude, phase = (np.loadtxt(folder / f"{n}.csv").reshape(SIDE, SIDE) for n in ("dog_amplitude", "boat_phase"))
    field = amplitude * np.exp(1j * phase)
    item = Item(folder / "data_exp_Dog_1024.csv")
    m, assumed = import_item(item, {"patterns": "hadamard:natural", "shape": (SIDE, SIDE)})
    print("\n".join(f"assumed: {text}" for text in assumed))
    print(f"{'patterns':24s} {'method':8s} {'field':>6s} {'amplitude':>9s}")
    flat = np.ones_like(amplitude)
    print(f"{'':24s} {'constant':8s} {correlation(flat, field):6.3f} {correlation(flat, amplitude):9.3f}")
    order = pattern_rows("sequency-2d", (SIDE, SIDE))
    choices = {"coarsest": [coarsest((SIDE, SIDE))], "drawn": [drawn((SIDE, SIDE), seed) for seed in range(3)]}
    for share in SHARES:
        for choice, lists in choices.items():
            if share == 1 and choice == "drawn":
                continue
            some = [with_patterns(m, order[torch.from_numpy(pairs[: round(share * len(order))])]) for pairs in lists]
            for method in METHODS:
                images = [np.asarray(idmcli.reconstruct(part, method=method)) for part in some]
                fields = np.mean([correlation(image, field) for image in images])
                amplitudes = np.mean([correlation(np.abs(image), amplitude) for image in images])
                name = f"{100 * share:g} %, {choice}" if share < 1 else "100 %"
                print(f"{name:24s} {method:8s} {fields:6.3f} {amplitudes:9.3f}", flush=True)


def phantom(folder: Path) -> None:
    content = scipy.io.loadmat(folder / "Jaszczak_Haar_4_128x128.mat", simplify_cells=True)
    coefficients, picture = (content[name].astype(float) for name in ("W", "F"))
    measured = np.flatnonzero(coefficients)
    operator = idmcli.MatrixOperator(wavelets(measured, len(picture)), image_shape=(1, *picture.shape))
    print(f"Haar wavelets, {100 * len(measured) / picture.size:.0f} %: correlation, and without the means")
    images = {
        name: np.asarray(idmcli.reconstruct(coefficients.flat[measured], operator, method=name)) for name in METHODS
    }
    for name, image in {"constant": np.ones_like(picture), **images}.items():
        centred = correlation(image - image.mean(), picture - picture.mean()) if name in images else 0.0
        print(f"{name:8s} {correlation(image, picture):6.4f} {centred:6.4f}")


def wavelets(numbers: NDArray[np.int64], side: int) -> scipy.sparse.csr_matrix:
    """The patterns of Haar wavelets, one in each row, by the place of their coefficients in a pyramid."""
    rows = []
    for number in numbers:
        pyramid = np.zeros((side, side))
        pyramid.flat[number] = 1
        rows.append(scipy.sparse.csr_matrix(synthesised(pyramid).ravel()))
    return scipy.sparse.vstack(rows).tocsr()


def synthesised(pyramid: NDArray[Any]) -> NDArray[Any]:
    """The image of a pyramid of orthonormal Haar coefficients, whose details are positive at the second pixel."""
    image, n = pyramid.copy(), len(pyramid) >> LEVELS
    while n < len(pyramid):
        a, across, down, both = image[:n, :n], image[:n, n : 2 * n], image[n : 2 * n, :n], image[n : 2 * n, n : 2 * n]
        fine = np.empty((n, 2, n, 2))
        for i, u in enumerate((-1, 1)):
            for j, v in enumerate((-1, 1)):
                fine[:, i, :, j] = (a + v * across + u * down + u * v * both) / 2
        image[: 2 * n, : 2 * n] = fine.reshape(2 * n, 2 * n)
        n *= 2
    return image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    dog(folder)
    phantom(folder)


if __name__ == "__main__":
    main()
