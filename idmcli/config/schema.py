"""The sections of a configuration: every key, its type, range, default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from idmcli import tasks
from idmcli.plugins import MODELS
from idmcli.ranges import Count, CountOrZero, Positive, PositiveOrZero, Seed, Size
from idmcli.tasks import OperatorOptions

MemoryPlan = Literal["plain", "checkpoint", "unet", "sampler", "both", "auto"]


def _known(kind: str) -> str:
    if kind not in tasks.kinds():
        raise ValueError(" or ".join(repr(name) for name in tasks.kinds()))
    return kind


@dataclass(frozen=True)
class TaskConfig:
    """[task]: what is measured. Its kind decides which keys [operator] has, see :mod:`idmcli.tasks`."""

    kind: Annotated[str, AfterValidator(_known)] = "cs"
    channels: Literal[1, 3] | None = None  # measured: 1 luminance, 3 colour; not set: as the picture is (mri, ct: 1)
    domain: str | None = None  # what the images show, photographs for example; kept with trained weights


@dataclass(frozen=True)
class SolverConfig:
    """[solver]: the method, and options of its own (`idm methods` lists them)."""

    method: str | None = None  # not set: the best for the task
    seed: Seed | None = None  # of what a sampling method draws; not set: from the measurement
    options: Mapping[str, Any] = field(default_factory=dict)


def _known_model(kind: str) -> str:
    if kind not in MODELS.names():
        raise ValueError(" or ".join(repr(name) for name in MODELS.names()))
    return kind


@dataclass(frozen=True)
class ModelSettings:
    """[model]: a learned model. Its kind decides which other keys [model] has, see :mod:`idmcli.learned`."""

    # A noise estimator, one given y, one of latents with their autoencoder, or the wired T-step sampler.
    kind: Annotated[str, AfterValidator(_known_model)] = "prior"


@dataclass(frozen=True)
class TrainingConfig:
    """[training]: one run of ``idm train``."""

    iterations: Count = 20_000
    autoencoder_iterations: CountOrZero = 5_000  # latent: of them, for the autoencoder; the schedule runs for each part
    kl_weight: PositiveOrZero = 1e-5  # latent: of the latents' Kullback-Leibler divergence, in nats per pixel
    batch: Count = 16  # crops per iteration, of all processes together
    accumulate: Count = 1  # parts that each process computes its share of the batch in, to save memory
    patch: Annotated[int, Field(ge=8, le=4096)] = 64  # side of a crop in pixels
    optimizer: Literal["adam", "adamw", "muon"] = "adamw"
    learning_rate: Positive = 1e-3
    rule_learning_rate: Positive | None = None  # idm: of the numbers of the sampling steps; not set: learning_rate
    coupling_learning_rate: Positive | None = None  # of mixing weights and scales of streams; not set: learning_rate
    sampling_learning_rate: Positive | None = None  # of a learned A and its first image; not set: learning_rate
    muon_learning_rate: Positive = 0.02  # of the convolutions that Muon updates
    weight_decay: PositiveOrZero = 0.0
    warmup: CountOrZero = 200  # iterations of linear warm-up
    schedule: Literal["cosine", "trapezoid", "step", "constant"] = "cosine"
    ema: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.999  # decay of the averaged weights
    sigma_min: Positive = 0.01  # prior, sr3: noise levels are log-uniform in ..
    sigma_max: Positive = 1.5  # .. sigma_max, for images in 0 .. 1
    loss: Literal["l1", "l2", "rmse", "psnr"] = "l1"  # psnr: minus that, so that easy images count as much as hard ones
    gradient_clip: PositiveOrZero = 1.0  # largest gradient norm of each group of parameters; 0: no clipping
    memory: MemoryPlan = "unet"  # idm: what is kept for the backward pass; auto: the fastest plan that fits
    memory_budget: Size | None = None  # for memory = "auto", "15GiB" for example; not set: 90 % of what is free
    precision: Literal["float32", "bf16", "auto"] = "float32"  # bf16: autocast; auto: bf16 where the device has it
    compile: bool = False  # pass the blocks through torch.compile
    seed: Seed = 0
    checkpoint_every: Count = 1000  # iterations
    log_every: Count = 50
    validate_every: Count = 1000
    threads: Count | None = None  # CPU threads; not set: PyTorch's choice
    cache: Size | None = None  # pictures each process keeps in memory, "8GiB"; not set: half of what is free
    workers: CountOrZero | None = None  # processes that prepare crops; not set: 0, or up to 4 if pictures do not fit

    def crops_at_once(self, processes: int = 1) -> int:
        """Crops in one forward and backward pass of each of so many processes; at least 1."""
        return max(1, self.batch // (self.accumulate * processes))


@dataclass(frozen=True)
class Config:
    """A whole configuration: immutable, with every default filled in."""

    task: TaskConfig = field(default_factory=TaskConfig)
    operator: OperatorOptions = field(default_factory=tasks.find("cs").options)
    solver: SolverConfig = field(default_factory=SolverConfig)
    model: Any = field(default_factory=lambda: MODELS.find(ModelSettings().kind).settings())  # a ModelSettings
    training: TrainingConfig = field(default_factory=TrainingConfig)


def conflicts(config: Config) -> list[tuple[tuple[str, ...], str]]:
    """Keys that are valid alone but not together: (keys, what is expected of them)."""
    task, model, training = tasks.find(config.task.kind), MODELS.find(config.model.kind), config.training
    found = [(tuple(f"operator.{key}" for key in keys), expected) for keys, expected in task.conflicts(config.operator)]
    if training.sigma_min >= training.sigma_max:
        found.append((("training.sigma_min", "training.sigma_max"), "sigma_min must be below sigma_max"))
    if config.task.channels not in (None, *task.channels):
        found.append((("task.channels", "task.kind"), f"task {task.kind} measures one channel"))
    found += model.conflicts(config)
    if training.batch % training.accumulate:
        found.append((("training.batch", "training.accumulate"), "accumulate must divide batch"))
    if training.memory_budget is not None and not model.memory_steps(config):
        keys = ("training.memory_budget", "model.kind")
        found.append((keys, f"{model.noun} has no memory plans, which a budget is for"))
    elif training.memory_budget is not None and training.memory != "auto":
        found.append((("training.memory_budget", "training.memory"), 'a budget needs memory = "auto"'))
    return found
