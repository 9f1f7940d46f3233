"""The protocol of a comparison: each picture measured at each ratio and reconstructed by each method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from idmcli import solvers, tasks
from idmcli.config import Config
from idmcli.errors import ConfigError, InputError, NumericalError
from idmcli.evaluation.perceptual import Perceptual
from idmcli.evaluation.published import Colour
from idmcli.evaluation.tables import Score
from idmcli.io.images import Image
from idmcli.measuring import Measurement, simulate
from idmcli.measuring.doubts import doubts
from idmcli.methods import Method, Methods, solve
from idmcli.metrics import quality
from idmcli.operators import Operator


class Result(NamedTuple):
    """A reconstruction of one measurement by one method.

    Attributes:
        x: (1, C, H, W) in [0, 1].
        m: what was measured, with the truth.
        method: how x was made.
        score: how good x is, and what it took.
    """

    x: Tensor
    m: Measurement
    method: Method
    score: Score


@dataclass(frozen=True)
class Benchmark:
    """The methods to compare, and the measurements to compare them on.

    Attributes:
        dataset: name of the data.
        configs: one configuration per ratio.
        methods: names; None for the default of the operator.
        weights: for the methods that need some; None for those that come with idm.
        methods_at_hand: makes methods, with their weights.
        prior: what --prior names, for the methods that need one.
        perceptual: LPIPS, where it is installed.
    """

    dataset: str
    configs: Sequence[Config]
    methods: Sequence[str | None]
    weights: Path | None
    methods_at_hand: Methods
    prior: str | None = None
    perceptual: Perceptual | None = None

    def run(
        self,
        image: Image,
        report: Callable[[str, float], None] = lambda note, part: None,
        warn: Callable[[str], None] = lambda doubt: None,
    ) -> Iterator[Result]:
        """The results for one picture, one after the other, each with PSNR and SSIM over the unpadded image, and the
        seconds of the reconstruction alone.

        ``report`` is told how far it is, in words and as a part, ``warn`` what may be wrong with a measurement. A
        method that fails numerically does not stop the others.

        Raises:
            ConfigError: a method is unknown or cannot handle the operator, or its weights are missing or of the wrong
                kind.
            InputError: the picture cannot be measured.
            NumericalError: in the end, if a method gave values that are not finite.
        """
        failed: NumericalError | None = None
        runs, begun = len(self.configs) * len(self.methods), count()
        for config in self.configs:
            m = simulate(image, config)
            for method in [self._method(name, m.operator, config, m.noise) for name in self.methods]:

                def note(done: int, total: int, name: str = method.name, before: int = next(begun)) -> None:
                    report(f"{image.item.name}: {name} {done}/{total}", (before + done / total) / runs)

                try:
                    yield self._result(image, m, config, method, note)
                except NumericalError as error:
                    failed = failed or error
            for doubt in doubts(m, config, image.item.name):
                warn(doubt)
        if failed is not None:
            raise failed

    def _result(
        self, image: Image, m: Measurement, config: Config, method: Method, progress: Callable[[int, int], None]
    ) -> Result:
        assert m.truth is not None
        task = tasks.find(config.task.kind)
        asked, setting = task.ratio(config.operator), task.setting(config.operator)
        made = solve(m, method, seed=config.solver.seed, progress=progress)
        found = Score(
            self.dataset,
            method.name,
            round(m.amount.ratio, 4) if asked is None else asked,
            image.item.name,
            *quality(made.x, m.truth[None]),
            made.seconds,
            setting,
            made.evaluations,
            None if self.perceptual is None else self.perceptual(made.x, m.truth[None]),
            method.weights_name,
            made.seed,
        )
        return Result(made.x, m, method, found)

    def applicable(self, operators: Sequence[Operator]) -> tuple[list[str], Mapping[str, str]]:
        """The methods that can reconstruct what all of some operators (one per configuration) measure, with the
        weights at hand; of each other one the reason, on one line."""
        ready, left_out = [], {}
        for name in solvers.names():
            try:
                for operator, config in zip(operators, self.configs, strict=True):
                    self._method(name, operator, config)
                ready.append(name)
            except ConfigError as error:
                left_out[name] = " ".join(error.message.split())
        return ready, left_out

    def _method(self, name: str | None, operator: Operator, config: Config, noise: float = 0.0) -> Method:
        weights, prior = self.weights, self.prior
        if name is not None:  # what it does not take is for others
            need = solvers.find(name).weights
            mine = self.methods_at_hand.named(weights, prior).get(need or "")
            weights, prior = (
                (weights, None) if mine is not None and mine == weights else (None, prior if mine else None)
            )
        method = self.methods_at_hand.method(name, operator, weights, config.solver, prior=prior, noise=noise)
        try:
            method.check(operator)
        except InputError as error:  # the same for every picture: said before any is reconstructed
            raise ConfigError(error.message, error.hint) from error
        return method

    def published_colour(self) -> Colour | None:
        """The colour of the published figures that these scores compare with; None if they measure something else."""
        config = self.configs[0]
        if config.task.kind != "cs" or config.operator.noise > 0:
            return None
        return {1: "luminance", 3: "rgb", None: None}[config.task.channels]
