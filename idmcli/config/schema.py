"""The sections of a configuration: every key, its type, range, default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from idmcli import tasks
from idmcli.plugins import MODELS
from idmcli.ranges import Count, CountOrZero, Positive, PositiveOrZero, Seed, Share, Size
from idmcli.tasks import OperatorOptions

MemoryPlan = Literal["plain", "checkpoint", "unet", "sampler", "both", "auto"]


def _known(kind: str) -> str:
    if kind not in tasks.kinds():
        raise ValueError(" or ".join(repr(name) for name in tasks.kinds()))
    return kind


@dataclass(frozen=True)
class TaskConfig:
    """[task]: what is measured. Its kind decides which keys [operator] has, see :mod:`idmcli.tasks`."""

    kind: Annotated[str, AfterValidator(_known)] = "cs"  # the name of a task; `idm tasks` lists them
    channels: Literal[1, 3] | None = None  # 1: luminance; 3: colour; not set: like the picture (mri, ct: 1)
    domain: str | None = None  # the subject of the images, photographs for example; kept with weights


@dataclass(frozen=True)
class SolverConfig:
    """[solver]: the method, and options of its own (`idm methods` lists them)."""

    method: str | None = None  # the name of a method; not set: the default for the task
    seed: Seed | None = None  # seed of a method that samples; not set: from the measurement
    options: Mapping[str, Any] = field(default_factory=dict)


def _known_model(kind: str) -> str:
    if kind not in MODELS.names():
        raise ValueError(" or ".join(repr(name) for name in MODELS.names()))
    return kind


@dataclass(frozen=True)
class ModelSettings:
    """[model]: a learned model. Its kind decides which other keys [model] has, see :mod:`idmcli.learned`."""

    kind: Annotated[str, AfterValidator(_known_model)] = "prior"  # the kind of network


@dataclass(frozen=True)
class TrainingConfig:
    """[training]: one run of ``idm train``."""

    iterations: CountOrZero = 20_000  # steps of the optimiser; 0: the weights are written as they start
    autoencoder_iterations: CountOrZero = 5_000  # latent: steps of the autoencoder, with a schedule of their own
    kl_weight: PositiveOrZero = 1e-5  # latent: weight of the latents' Kullback-Leibler divergence, in nats per pixel
    batch: Count = 16  # crops per iteration, of all processes together
    accumulate: Count = 1  # parts that each process splits its share of the batch into, to save memory
    patch: Annotated[int, Field(ge=8, le=4096)] = 64  # side of a crop in pixels
    drawn: Share = 0.0  # share of the crops that are drawn by code: flat areas, shapes, lines and text
    optimizer: Literal["adam", "adamw", "muon"] = "adamw"  # muon updates convolutions, and AdamW the rest
    learning_rate: Positive = 1e-3  # step length at the top of the schedule
    rule_learning_rate: Positive | None = None  # idm: for the constants of a sampling step; not set: learning_rate
    coupling_learning_rate: Positive | None = None  # for mixing weights and scales of streams; not set: learning_rate
    sampling_learning_rate: Positive | None = None  # for a learned A and its first image; not set: learning_rate
    muon_learning_rate: Positive = 0.02  # for the convolutions that Muon updates
    weight_decay: PositiveOrZero = 0.0  # decay of the weights in each step, times the learning rate
    warmup: CountOrZero = 200  # iterations of linear warm-up
    schedule: Literal["cosine", "trapezoid", "step", "constant"] = "cosine"  # how the learning rate falls
    ema: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.999  # decay of the averaged weights
    sigma_min: Positive = 0.01  # prior, sr3: lowest noise level, for images in 0..1; levels are log-uniform
    sigma_max: Positive = 1.5  # prior, sr3: highest noise level
    loss: Literal["l1", "l2", "rmse", "psnr"] = "l1"  # psnr: its negative; easy images count as much as hard ones
    gradient_clip: PositiveOrZero = 1.0  # largest gradient norm of each group of parameters; 0: no clipping
    memory: MemoryPlan = "unet"  # idm: what the backward pass keeps; auto: the fastest plan that fits
    memory_budget: Size | None = None  # for memory = "auto": "15GiB" for example; not set: 90 % of the free memory
    precision: Literal["float32", "bf16", "auto"] = "float32"  # bf16: autocast; auto: bf16 where the device has it
    compile: bool = False  # pass the blocks through torch.compile
    seed: Seed = 0  # seed of weights, crops and batches
    checkpoint_every: Count = 1000  # iterations from one checkpoint to the next
    log_every: Count = 50  # iterations from one line of the log to the next
    validate_every: Count = 1000  # iterations from one validation to the next
    threads: Count | None = None  # CPU threads; not set: PyTorch's choice
    cache: Size | None = None  # memory for decoded pictures in each process, "8GiB"; not set: half of the free memory
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
