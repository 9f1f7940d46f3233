"""The protocol of a comparison: each picture measured at each ratio and reconstructed by each method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from idmcli import solvers, tasks
from idmcli.config import Config
from idmcli.errors import ConfigError, InputError
from idmcli.evaluation.published import Colour
from idmcli.evaluation.tables import Score
from idmcli.experiment import Case, doubts, mask_doubts, score, simulate, solve
from idmcli.io.images import Image
from idmcli.library import Library, Method


@dataclass(frozen=True)
class Benchmark:
    """What is compared on what.

    Attributes:
        dataset: name of the data.
        configs: one configuration per ratio.
        methods: names; None for the default of the operator.
        weights: for the methods that need some; None for those that come with idm.
        library: where weights come from.
        prior: what --prior names, for the methods that need one.
    """

    dataset: str
    configs: Sequence[Config]
    methods: Sequence[str | None]
    weights: Path | None
    library: Library
    prior: str | None = None

    def scores(
        self,
        image: Image,
        report: Callable[[str], None] = lambda note: None,
        warn: Callable[[str], None] = lambda doubt: None,
    ) -> Iterator[Score]:
        """The scores of one picture, as they are found: PSNR and SSIM over the unpadded image, seconds of the
        reconstruction alone.

        ``report`` is told how far it is, ``warn`` what may be wrong with a measurement.

        Raises:
            ConfigError: a method is unknown or cannot handle the operator, or its weights are missing or of the wrong
                kind.
            InputError: the picture cannot be measured.
            NumericalError: a method gave values that are not finite.
        """
        for config in self.configs:
            case = simulate(image, config)
            assert case.truth is not None
            task = tasks.find(config.task.kind)
            asked, setting = task.ratio(config.operator), task.setting(config.operator)
            ratio = round(case.amount.ratio, 4) if asked is None else asked
            for method in [self._method(name, case, config) for name in self.methods]:

                def note(done: int, total: int, name: str = method.name) -> None:
                    report(f"{image.item.name}: {name} {done}/{total}")

                made = solve(case, method, seed=config.solver.seed, progress=note)
                quality = score(made.x, case.truth)
                yield Score(self.dataset, method.name, ratio, image.item.name, *quality, made.seconds, setting)
            for doubt in [*doubts(case, config), *mask_doubts(case, config)]:
                warn(doubt)

    def _method(self, name: str | None, case: Case, config: Config) -> Method:
        weights, prior = self.weights, self.prior
        if name is not None:  # what it does not take is for others
            need = solvers.find(name).weights
            mine = need and self.library.given(weights, prior)[need]
            weights, prior = (weights, None) if mine == weights else (None, prior if mine else None)
        method = self.library.method(name, case.operator, weights, config.solver, prior=prior, noise=case.noise)
        try:
            method.check(case.operator)
        except InputError as error:  # the same for every picture: said before any is reconstructed
            raise ConfigError(error.message, error.hint) from error
        return method

    def published_colour(self) -> Colour | None:
        """Which published figures these scores compare with; None where they measure something else."""
        config = self.configs[0]
        if config.task.kind != "cs" or config.operator.noise > 0:
            return None
        return {1: "luminance", 3: "rgb", None: None}[config.task.channels]
