"""The protocol of a comparison: each picture measured at each ratio and reconstructed by each method."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from idmcli.config import Config
from idmcli.evaluation.published import Colour
from idmcli.evaluation.tables import Score
from idmcli.io.images import Image
from idmcli.measuring import ratio_of, select_channels, simulate, to_batch
from idmcli.metrics import psnr, ssim
from idmcli.operators import LinearOperator
from idmcli.reconstruction import METHODS, Library, load_reconstructor


@dataclass(frozen=True)
class Benchmark:
    """What is compared on what.

    Attributes:
        dataset: name of the data.
        configs: one configuration per ratio.
        methods: names; None for the default of the operator.
        weights: for the methods that need some; None for those that come with idm.
        library: where networks come from.
    """

    dataset: str
    configs: Sequence[Config]
    methods: Sequence[str | None]
    weights: Path | None
    library: Library

    def scores(self, image: Image) -> list[Score]:
        """The scores of one picture: PSNR and SSIM over the unpadded image, seconds of the reconstruction alone.

        Raises:
            ConfigError: a method is unknown, or its weights are missing or of the wrong kind.
            InputError: the picture cannot be measured, or a method cannot handle the operator.
            NumericalError: a method gave values that are not finite.
        """
        found = []
        for config in self.configs:
            truth = to_batch(select_channels(image, config))
            operator, y, _ = simulate(image, config)
            ratio = ratio_of(config) or _ratio_measured(operator)
            for method in self.methods:
                takes_weights = method is None or METHODS[method].needs != "none"
                weights = self.weights if takes_weights else None
                reconstruct = load_reconstructor(method, operator, weights, self.library)
                start = time.perf_counter()
                x = reconstruct(operator, y, noise=config.operator.noise, seed=config.operator.seed).cpu()
                seconds = time.perf_counter() - start
                quality = float(psnr(x, truth)), float(ssim(x, truth))
                found.append(Score(self.dataset, reconstruct.method, ratio, image.path.name, *quality, seconds))
        return found

    def published_colour(self) -> Colour | None:
        """Which published figures these scores compare with; None where they measure something else."""
        config = self.configs[0]
        if config.task.kind != "cs" or config.operator.noise > 0:
            return None
        return {1: "luminance", 3: "rgb", None: None}[config.task.channels]


def _ratio_measured(operator: LinearOperator) -> float:
    """M / N, without the coils, to four digits."""
    mask = getattr(operator, "mask", None)
    return round(operator.ratio if mask is None else float(mask.double().mean()), 4)
