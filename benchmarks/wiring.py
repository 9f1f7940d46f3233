"""What the wiring of the sampling steps costs the prior, before any end-to-end training.

    python benchmarks/wiring.py --data Set11

Puts the shipped prior into the wired sampler with matched steps, for several initial mixing weights v of the
first-level couplings, and prints the mean PSNR at 10, 30 and 50 % beside message passing with as many steps
(which is the same computation at v = 0).
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from idmcli.io.images import find_images, luminance, read_image
from idmcli.metrics import psnr
from idmcli.models.checkpoints import load_weights, shipped_weights
from idmcli.models.denoiser import Denoiser
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.operators import CompressedSensing, LinearOperator, Problem
from idmcli.priors import load_prior
from idmcli.seeds import item_seed
from idmcli.solvers.vamp import VampOptions, vamp

RATIOS = (0.1, 0.3, 0.5)


def wired(prior: Denoiser, steps: int, v: float) -> InvertibleDiffusion:
    from dataclasses import replace

    unet = replace(prior.config.unet, steps=steps)
    model = InvertibleDiffusion(SamplerConfig(replace(prior.config, unet=unet), "matched", v))
    model.denoiser.load_state_dict(prior.state_dict(), strict=False)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    prior = load_weights(shipped_weights("prior-grey"))
    assert isinstance(prior, Denoiser)
    images = []
    for path in find_images([arguments.data]):
        pixels = read_image(path).pixels
        grey = luminance(pixels) if pixels.ndim == 3 else pixels
        images.append((path.name, torch.from_numpy(grey).float()[None, None]))

    def report(name: str, method) -> None:  # type: ignore[no-untyped-def]
        means = []
        for ratio in RATIOS:
            scores = []
            for item, x in images:
                operator: LinearOperator = CompressedSensing(
                    (1, *x.shape[2:]), ratio, permutation_seed=item_seed(0, item)
                )
                estimate: Tensor = method(operator, operator.A(x)).clamp(0, 1)
                scores.append(float(psnr(estimate, x)))
            means.append(sum(scores) / len(scores))
        print(
            f"{name:24s}",
            "  ".join(f"{100 * r:.0f} %: {m:.2f} dB" for r, m in zip(RATIOS, means, strict=True)),
            flush=True,
        )

    with torch.no_grad():
        denoiser = load_prior(shipped_weights("prior-grey"))
        assert denoiser is not None

        def unwired(operator: LinearOperator, y: Tensor) -> Tensor:
            options, generator = VampOptions(arguments.steps), torch.Generator()
            return vamp(Problem(operator, y), denoiser, options, generator, lambda done, total: None)

        report(f"vamp, {arguments.steps} steps", unwired)
        for v in (0.05, 0.1, 0.25, 0.5):
            model = wired(prior, arguments.steps, v)
            report(f"wired, v = {v}", lambda a, y, m=model: m.reconstruct(y, a))


if __name__ == "__main__":
    main()
