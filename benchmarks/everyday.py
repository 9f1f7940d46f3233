"""How the default of each task does on pictures that nobody tuned for, beside the other methods.

    python -m benchmarks.everyday                               # every case; hours on one core, for ddnm
    python -m benchmarks.everyday --cases mri --pictures flat ellipses --methods pinv tv

A default is safe where its PSNR is at least that of A+ y, that of total variation minus 0.3 dB, and that of the best
method here minus 1 dB; and where more measurements lower it by 0.1 dB at most. Results are written as they come, one
line of JSON for each, and are not computed twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

import idmcli as idm
from benchmarks.pictures import PICTURES, Picture
from idmcli.methods import defaults_of

SHOWN = 50.0  # dB beyond which no eye sees a difference: less than one of 255 grey levels
METHODS = ("pinv", "tv", "hqs", "vamp", "idm", "ddnm")
NONLINEAR = ("gradient", "reddiff")


@dataclass(frozen=True)
class Case:
    """A task at one setting.

    Attributes:
        task: its kind.
        options: of the task.
        less: name of the same case with fewer measurements.
        colour: whether colour pictures are measured in colour.
    """

    task: str
    options: Mapping[str, Any]
    less: str | None = None
    colour: bool = True


CASES = {
    "cs 10": Case("cs", {"ratio": 0.1}),
    "cs 30": Case("cs", {"ratio": 0.3}, "cs 10"),
    "cs 50": Case("cs", {"ratio": 0.5}, "cs 30"),
    "inpainting 10": Case("inpainting", {"ratio": 0.1}),
    "inpainting 30": Case("inpainting", {"ratio": 0.3}, "inpainting 10"),
    "inpainting 70": Case("inpainting", {"ratio": 0.7}, "inpainting 30"),
    "scratches": Case("inpainting", {"mask": "scratches"}),
    "letters": Case("inpainting", {"mask": "letters"}),
    "boxes": Case("inpainting", {"mask": "boxes"}),
    "mri 10": Case("mri", {"ratio": 0.1}, colour=False),
    "mri 25": Case("mri", {"ratio": 0.25}, "mri 10", colour=False),
    "mri 50": Case("mri", {"ratio": 0.5}, "mri 25", colour=False),
    "mri lines": Case("mri", {"mask": "random-lines", "acceleration": 3.0}, colour=False),
    "ct 30": Case("ct", {"views": 30}, colour=False),
    "ct 90": Case("ct", {"views": 90}, "ct 30", colour=False),
    "deblur": Case("deblur", {}),
    "deblur noise": Case("deblur", {"noise": 0.02}),
    "motion": Case("deblur", {"kernel": "motion", "noise": 0.01}),
    "sr 2": Case("sr", {"factor": 2}),
    "sr 4": Case("sr", {"factor": 4}),
    "hdr": Case("hdr", {}),
    "nonlinear": Case("nonlinear_deblur", {}),
    "nonlinear noise": Case("nonlinear_deblur", {"noise": 0.02}),
}


def mask_of(kind: str, side: int) -> np.ndarray[Any, Any]:
    """A mask, True where a pixel is kept: lines of 4 pixels, letters, or boxes of a tenth of the side."""
    picture = Image.new("L", (side, side), 255)
    draw = ImageDraw.Draw(picture)
    if kind == "scratches":
        for x in (0.15, 0.4, 0.75):
            draw.line((x * side, 0, (1 - x) * side, side), 0, 4)
        draw.line((0, side // 2, side, side // 3), 0, 5)
    elif kind == "letters":
        for row in range(0, side, 24):
            draw.text((3, row), "PROOF 2026 PROOF 2026 PROOF", 0)
    else:
        for top, left in ((0.2, 0.25), (0.6, 0.55)):
            draw.rectangle((left * side, top * side, (left + 0.13) * side, (top + 0.13) * side), 0)
    return np.asarray(picture) > 127


def measure(case: Case, picture: Picture) -> idm.Measurement:
    """Measure a picture in a case."""
    image = picture if case.colour or picture.ndim == 2 else picture.mean(-1)
    options = dict(case.options)
    noise = options.pop("noise", 0.0)
    if options.get("mask") in ("scratches", "letters", "boxes"):
        channels, *size = image.shape[2:] or (1,), *image.shape[:2]
        operator = idm.operators.Inpainting((*channels, *size), mask_of(options["mask"], image.shape[0]))
        return idm.sense(image, operator, noise=noise)
    return idm.sense(image, case.task, noise=noise, **options)


def score(m: idm.Measurement, method: str | None) -> float | None:
    """PSNR of a method, None where it does not apply."""
    try:
        x = idm.reconstruct(m, method=method)
    except (idm.InputError, idm.ConfigError):
        return None
    assert m.truth is not None
    truth = m.truth[0] if len(m.truth) == 1 else m.truth.permute(1, 2, 0)
    x = np.abs(x) if np.iscomplexobj(x) else x
    return min(idm.psnr(x, truth.numpy()), SHOWN)


def results(
    cases: Iterable[str], pictures: Iterable[str], methods: Iterable[str], side: int, log: Path
) -> Iterator[dict[str, Any]]:
    """Rows of the log, computed as far as they are not there."""
    known = {}
    if log.exists():
        known = {
            (r["case"], r["picture"], r["method"], r["side"]): r for r in map(json.loads, log.read_text().splitlines())
        }
    for name in cases:
        for title in pictures:
            m = None
            for method in ("default", *methods):
                key = (name, title, method, side)
                if key not in known:
                    m = m or measure(CASES[name], PICTURES[title](side))
                    linear = isinstance(m.operator, idm.operators.LinearOperator)
                    if method == "default":
                        found = score(m, None)
                    elif method == defaults_of(m.operator).method(m.operator, m.noise):
                        found = known[name, title, "default", side]["psnr"]
                    else:
                        found = score(m, method) if linear != (method in NONLINEAR) else None
                    known[key] = dict(zip(("case", "picture", "method", "side"), key, strict=True), psnr=found)
                    with log.open("a") as file:
                        file.write(json.dumps(known[key]) + "\n")
                if known[key]["psnr"] is not None:
                    yield known[key]


def faults(psnr: Mapping[tuple[str, str, str], float]) -> Iterator[str]:
    """Where a default is not safe, a sentence each. Keys: case, picture, method."""
    for (case, picture, method), value in psnr.items():
        if method != "default":
            continue
        others = {m: v for (c, p, m), v in psnr.items() if (c, p) == (case, picture) and m != "default"}
        for other, floor in (("pinv", 0.05), ("tv", 0.3)):
            if value < others.get(other, 0.0) - floor:
                yield f"{case}, {picture}: {value:.2f} dB, {other} has {others[other]:.2f}"
        best = max(others, key=others.__getitem__, default=None)
        if best is not None and value < others[best] - 1:
            yield f"{case}, {picture}: {value:.2f} dB, {best} has {others[best]:.2f}"
        less = psnr.get((CASES[case].less or "", picture, "default"))
        if less is not None and value < less - 0.1:
            yield f"{case}, {picture}: {value:.2f} dB, with fewer measurements {less:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=[""], help="those whose names begin so")
    parser.add_argument("--pictures", nargs="*", default=list(PICTURES), choices=list(PICTURES))
    parser.add_argument("--methods", nargs="*", default=[*METHODS, *NONLINEAR])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--log", type=Path, default=Path("everyday.jsonl"))
    a = parser.parse_args()
    torch.manual_seed(0)
    cases = [name for name in CASES if any(name.startswith(start) for start in a.cases)]
    psnr = {}
    for row in results(cases, a.pictures, a.methods, a.side, a.log):
        psnr[row["case"], row["picture"], row["method"]] = row["psnr"]
    for case in cases:
        print(f"\n{case:18s}" + "".join(f"{m:>10s}" for m in ("default", *a.methods)))
        for picture in a.pictures:
            values = [psnr.get((case, picture, method)) for method in ("default", *a.methods)]
            print(f"{picture:18s}" + "".join("         –" if v is None else f"{v:10.2f}" for v in values))
    found = list(faults(psnr))
    print("\n" + ("\n".join(found) if found else "every default is safe"))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
