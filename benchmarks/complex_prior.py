"""A prior for real images on complex ones: the ways to apply it, compared on MR slices with a simulated phase.

    python benchmarks/complex_prior.py --data BrainMRI50 --limit 2

Each slice gets a smooth phase of some turns. `hqs` with each way, `tv` and A+ reconstruct it from a single coil and
from eight at several undersamplings; printed is the mean PSNR of the magnitude.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from idmcli import solvers
from idmcli.io.images import find_images, luminance, read_image
from idmcli.metrics import psnr
from idmcli.models import shipped_weights
from idmcli.operators import MRI, Problem
from idmcli.priors import Domain, Prior, load_prior
from idmcli.priors.complex_images import Demodulated
from idmcli.tasks.mri import coil_maps

MASKS = {
    "radial 20 %": {"type": "radial", "fraction": 0.2},
    "equispaced 4x": {"type": "equispaced", "acceleration": 4, "centre_fraction": 0.08},
    "equispaced 8x": {"type": "equispaced", "acceleration": 8, "centre_fraction": 0.04},
}


@dataclass(frozen=True)
class Way:
    """A prior for real images p, applied to complex ones by ``apply(p, r, sigma)``."""

    prior: Prior
    apply: Callable[[Prior, Tensor, Tensor], Tensor]
    name: str = "way"
    domain: Domain = field(default=Domain(symmetric=True, complex=True))
    noise_levels: tuple[float, float] = (0.0, 1.0)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        return self.apply(self.prior, r, sigma)


def real_and_imaginary(prior: Prior, r: Tensor, sigma: Tensor) -> Tensor:
    return torch.complex(prior(r.real.contiguous(), sigma), prior(r.imag.contiguous(), sigma))


def magnitude(prior: Prior, r: Tensor, sigma: Tensor) -> Tensor:
    return torch.polar(prior(r.abs(), sigma).clamp_min(0), r.angle())


def with_phase(magnitudes: Tensor) -> Tensor:
    rows, columns = (torch.linspace(-1, 1, n) for n in magnitudes.shape[2:])
    rows = rows[:, None]
    bump = torch.exp(-10 * ((columns - 0.3).square() + (rows + 0.2).square()))
    phase = 0.8 + 1.2 * rows - 0.9 * columns + 1.5 * rows * columns + bump
    return torch.polar(magnitudes, phase.expand_as(magnitudes).contiguous())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int, default=2)
    arguments = parser.parse_args()
    prior = load_prior(shipped_weights("prior-mri"))
    assert prior is not None
    ways: dict[str, tuple[str, Prior | None]] = {
        "A+": ("pinv", None),
        "tv": ("tv", None),
        "hqs, real and imaginary part": ("hqs", Way(prior, real_and_imaginary)),
        "hqs, magnitude": ("hqs", Way(prior, magnitude)),
        "hqs, demodulated": ("hqs", Demodulated(prior)),
    }
    pixels = [read_image(path).pixels for path in find_images([arguments.data])[: arguments.limit]]
    slices = [torch.from_numpy(luminance(p) if p.ndim == 3 else p).float()[None, None] for p in pixels]
    for mask_name, mask in MASKS.items():
        for coils in (1, 8):
            for name, (method, way) in ways.items():
                scores = []
                for x in slices:
                    maps = coil_maps(coils, (x.shape[2], x.shape[3])) if coils > 1 else None
                    operator = MRI((1, x.shape[2], x.shape[3]), mask, complex_image=True, sensitivity=maps)
                    problem, solver = Problem(operator, operator.A(with_phase(x))), solvers.find(method)
                    found = solver.run(problem, way, solver.options(), Generator(), lambda done, total: None)
                    scores.append(float(psnr(found.abs().clamp(0, 1), x)))
                print(f"{mask_name}, {coils} coil(s), {name:28s} {sum(scores) / len(scores):.2f} dB", flush=True)


if __name__ == "__main__":
    main()
