"""The sections of a configuration: every key, its type, range, default and meaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from idmcli.sizes import parse_size

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
CountOrZero = Annotated[int, Field(ge=0, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
PositiveOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rays = Annotated[int, Field(ge=1, le=100_000)]
Ratio = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Coupling = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Size = Annotated[int, BeforeValidator(parse_size)]  # bytes

Memory = Literal["plain", "checkpoint", "unet", "sampler", "both", "auto"]
Mask = Literal["random", "boxes", "pseudo-radial", "equispaced", "random-lines", "file"]
MASKS: dict[str, tuple[Mask, ...]] = {
    "cs": (),
    "inpainting": ("random", "boxes", "file"),
    "mri": ("pseudo-radial", "equispaced", "random-lines", "file"),
    "ct": (),
}
DEFAULT_RATIO = {"cs": 0.3, "inpainting": 0.5, "mri": 0.2}  # of the masks that are made to a ratio
ONE_CHANNEL = ("mri", "ct")  # tasks that measure the luminance of a colour picture


@dataclass(frozen=True)
class TaskConfig:
    """[task]: what is measured."""

    kind: Literal["cs", "inpainting", "mri", "ct"] = "cs"
    channels: Literal[1, 3] | None = None  # measured: 1 luminance, 3 colour; not set: as the picture is (mri, ct: 1)


@dataclass(frozen=True)
class OperatorConfig:
    """[operator]: how it is measured. Keys that the task does not use are ignored."""

    ratio: Ratio | None = None  # measurements per pixel, kept pixels, or kept k-space; not set: DEFAULT_RATIO
    ratio_min: Ratio = 0.04  # cs training draws ratios from ratio_min ..
    ratio_max: Ratio = 0.5  # .. ratio_max when ratio is not set
    block: Annotated[int, Field(ge=2, le=64)] = 32  # side of a cs block in pixels
    permutation: Literal["global", "none"] = "global"  # of all pixels before they are cut into cs blocks
    seed: Seed = 0  # of matrix, permutation and mask
    mask: Mask | None = None  # not set: "random" (inpainting), "pseudo-radial" (mri)
    mask_file: str | None = None  # image of the mask, white = kept, for mask = "file"
    mask_dc: Literal["corner", "centre"] = "corner"  # mri: where the mask file has the zero frequency
    acceleration: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 4.0  # mri line masks: lines / kept lines
    centre_fraction: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.08  # mri: centre that is always kept
    boxes: tuple[tuple[CountOrZero, CountOrZero, Count, Count], ...] = ()  # missing: [top, left, height, width]
    coils: Annotated[int, Field(ge=1, le=1024)] = 1  # mri receive coils
    views: Rays = 60  # ct projection angles over 180 degrees
    detectors: Rays | None = None  # ct detector cells; not set: enough for the image's diagonal
    noise: PositiveOrZero = 0.0  # standard deviation added to y, for images in 0 .. 1


@dataclass(frozen=True)
class ModelConfig:
    """[model]: the wired T-step sampler over the injector U-Net."""

    size: Literal["tiny", "full"] = "tiny"  # full: Stable Diffusion 1.5's two finest scales; tiny: as below
    steps: Count = 3  # T
    schedule: Literal["learned", "measured"] = "learned"  # alpha: trained, or from the measured noise level
    injector_kernel: Literal[1, 3] = 1  # side of the injectors' convolutions
    channels: tuple[Count, ...] = (32, 96, 192)  # tiny: per scale, finest first
    blocks: tuple[Count, ...] = (2, 2, 2)  # tiny: residual blocks per scale
    patch: Count = 2  # tiny: pixel-unshuffle in front of the network
    v: Coupling = 0.5  # initial mixing of the couplings inside the network
    step_v: Coupling = 0.5  # initial mixing of the sampling steps


@dataclass(frozen=True)
class TrainingConfig:
    """[training]: one run of ``idm train``."""

    stage: Literal["prior", "end-to-end"] = "prior"  # noise estimator, or the whole reconstruction
    iterations: Count = 20_000
    batch: Count = 16  # crops per iteration
    patch: Annotated[int, Field(ge=8, le=4096)] = 64  # side of a crop in pixels
    optimizer: Literal["adam", "adamw", "muon"] = "adamw"
    learning_rate: Positive = 1e-3
    muon_learning_rate: Positive = 0.02  # of the convolutions that Muon updates
    weight_decay: PositiveOrZero = 0.0
    warmup: CountOrZero = 200  # iterations of linear warm-up
    schedule: Literal["cosine", "trapezoid", "step", "constant"] = "cosine"
    ema: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.999  # decay of the averaged weights
    sigma_min: Positive = 0.01  # prior: noise levels are log-uniform in sigma_min ..
    sigma_max: Positive = 1.5  # .. sigma_max, for images in 0 .. 1
    loss: Literal["l1", "l2"] = "l1"
    gradient_clip: PositiveOrZero = 1.0  # largest gradient norm; 0 switches clipping off
    memory: Memory = "unet"  # end-to-end: what is kept for the backward pass; auto: the fastest plan that fits
    memory_budget: Size | None = None  # for memory = "auto", "15GiB" for example; not set: 90 % of what is free
    precision: Literal["float32", "bf16", "auto"] = "float32"  # bf16: autocast; auto: bf16 where the device has it
    seed: Seed = 0
    checkpoint_every: Count = 1000  # iterations
    log_every: Count = 50
    validate_every: Count = 1000
    threads: Count | None = None  # CPU threads; not set: PyTorch's choice


@dataclass(frozen=True)
class Config:
    """A whole configuration: immutable, with every default filled in."""

    task: TaskConfig = field(default_factory=TaskConfig)
    operator: OperatorConfig = field(default_factory=OperatorConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def conflicts(config: Config) -> list[tuple[tuple[str, ...], str]]:
    """Keys that are valid alone but not together: (keys, what is expected of them)."""
    operator, training = config.operator, config.training
    found: list[tuple[tuple[str, ...], str]] = []
    if operator.ratio_min > operator.ratio_max:
        found.append((("operator.ratio_min", "operator.ratio_max"), "ratio_min must not exceed ratio_max"))
    if training.sigma_min >= training.sigma_max:
        found.append((("training.sigma_min", "training.sigma_max"), "sigma_min must be below sigma_max"))
    if len(config.model.channels) != len(config.model.blocks) or not config.model.channels:
        found.append((("model.channels", "model.blocks"), "one or more scales, the same number in both"))
    if config.task.channels == 3 and config.task.kind in ONE_CHANNEL:
        found.append((("task.channels", "task.kind"), f"task {config.task.kind} measures one channel"))
    if training.memory_budget is not None and training.stage != "end-to-end":
        keys = ("training.memory_budget", "training.stage")
        found.append((keys, "a budget is for the end-to-end stage; the prior stage has no memory plans"))
    elif training.memory_budget is not None and training.memory != "auto":
        found.append((("training.memory_budget", "training.memory"), 'a budget needs memory = "auto"'))
    allowed = MASKS[config.task.kind]
    if operator.mask is not None and operator.mask not in allowed:
        names = ", ".join(f'"{name}"' for name in allowed) or "no mask at all"
        found.append((("operator.mask", "task.kind"), f"task {config.task.kind} takes {names}"))
    if operator.mask == "file" and operator.mask_file is None:
        found.append((("operator.mask",), 'mask = "file" needs operator.mask_file'))
    if operator.mask == "boxes" and not operator.boxes:
        found.append((("operator.mask",), 'mask = "boxes" needs operator.boxes'))
    return found
