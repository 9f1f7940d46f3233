"""From a study to the commands that carry it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from idmcli.config import Config, load_config
from idmcli.errors import ConfigError, InputError
from idmcli.plugins import MODELS
from idmcli.studies.study import Action, Scale, Study, Variant, folder_name


@dataclass(frozen=True)
class Places:
    """Where pictures come from and where results go.

    Attributes:
        out: folder of the study.
        data: to train on.
        tests: folders to evaluate on.
        device: as for the option --device.
    """

    out: Path
    data: Sequence[str]
    tests: Sequence[Path]
    device: str = "auto"


@dataclass(frozen=True)
class Job:
    """One command of a study.

    Attributes:
        action: what it does.
        name: of its record and log in the folder of its case.
        command: arguments of ``idm``.
        needs_training: whether it uses the weights that its case trains.
    """

    action: Action
    name: str
    command: Sequence[str]
    needs_training: bool = False


@dataclass(frozen=True)
class Case:
    """A variant with one seed, and its jobs in order.

    Attributes:
        variant: of the study.
        seed: of its training.
        config: that its settings make.
        folder: for records, logs, weights and scores.
        jobs: in order.
    """

    variant: Variant
    seed: int
    config: Config
    folder: Path
    jobs: Sequence[Job]

    @property
    def run(self) -> Path:
        """The run folder of its training."""
        return self.folder / "run"


def plan(study: Study, scale: Scale, places: Places) -> list[Case]:
    """All cases of a study, each with its commands.

    Raises:
        ConfigError: the settings of a variant are wrong; the message names it.
        InputError: the study trains or evaluates, and no pictures are named.
    """
    variants = study.expanded()
    trained = "train" in study.do and any(variant.weights is None for variant in variants)
    if trained and not places.data:
        raise InputError("this study trains, and no pictures to train on are named", "name a folder with --data")
    if "evaluate" in study.do and not places.tests:
        raise InputError("this study evaluates, and no pictures to evaluate on are named", "name a folder with --test")
    names = [folder.resolve().name for folder in places.tests]
    if len(set(names)) < len(names):
        raise InputError("two folders given to --test have the same name", "rename one of them")
    return [_case(study, scale, places, variant, seed) for variant in variants for seed in scale.seeds]


def _case(study: Study, scale: Scale, places: Places, variant: Variant, seed: int) -> Case:
    preset, small = variant.preset or study.preset, variant.small if scale is study.small else ()
    settings = (*scale.set, *variant.set, *small)
    seeded = (*settings, f"training.seed={seed}")
    try:
        config = load_config(preset, None, seeded).config
    except ConfigError as error:
        raise ConfigError(f"variant {variant.name!r}: {error.message}", error.hint) from error
    folder = places.out / "cases" / folder_name(variant.name) / f"seed-{seed}"
    common = ["--preset", preset, *(f"--set={setting}" for setting in seeded)]
    run, jobs = folder / "run", []
    trains = "train" in study.do and variant.weights is None
    if trains:
        start = ["--init", scale.init or variant.init] if variant.init else []
        data = [f"--data={source}" for source in places.data]
        jobs.append(Job("train", "train", ["train", *common, *data, *start, "--out", str(run), *_device(places)]))
    if "evaluate" in study.do:
        weights = str(run / "weights.safetensors") if trains else variant.weights and _file(variant.weights)
        named = {"--weights": weights, "--method": variant.method}
        chosen = [part for flag, value in named.items() if value for part in (flag, value)]
        ratios = ["--ratio", ",".join(f"{ratio:g}" for ratio in study.ratios)] if study.ratios else []
        for test in places.tests:
            name = f"evaluate-{folder_name(test.resolve().name)}"
            scores = ["--out", str(folder / name), "--overwrite", *_device(places)]
            jobs.append(Job("evaluate", name, ["eval", str(test), *common, *chosen, *ratios, *scores], trains))
    if "memory" in study.do and variant.weights is None and MODELS.find(config.model.kind).computes_steps:
        jobs.append(Job("memory", "memory", ["benchmark-memory", *common, "--device", "cpu"]))
        if study.budget:
            fit = ["benchmark-memory", *common, "--device", "cpu", "--fit", study.budget]
            jobs.append(Job("memory", "largest-batch", fit))
    return Case(variant, seed, config, folder, jobs)


def _file(weights: str) -> str:
    """The file of weights, which may come with idm and be named only."""
    from idmcli.models.checkpoints import shipped_names, shipped_weights

    return str(shipped_weights(weights)) if weights in shipped_names() else weights


def _device(places: Places) -> list[str]:
    return [] if places.device == "auto" else ["--device", places.device]
