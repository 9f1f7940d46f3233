"""The functions of the package's front: measure, reconstruct, compare, train. The commands of ``idm`` do the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli import metrics, tasks
from idmcli.config import Config, SolverConfig, load_config
from idmcli.devices import choose_device
from idmcli.distributed import Processes
from idmcli.errors import InputError
from idmcli.io.formats import Picture
from idmcli.io.images import Image, as_image, find_items, read_image
from idmcli.io.items import Item
from idmcli.io.scale import Scale
from idmcli.measuring import Measurement, Provenance, measured_by, simulate
from idmcli.measuring.format import MEASUREMENT
from idmcli.methods import Fit, Methods, fit_of, solve
from idmcli.operators import Operator, add_noise
from idmcli.priors import Prior, as_prior
from idmcli.reporting import Listener

if TYPE_CHECKING:
    from idmcli.evaluation.comparison import Comparison
    from idmcli.runs.workflow import FinishedRun

Array = NDArray[Any] | Tensor
Precision = Literal["auto", "float32", "bf16"]


def sense(
    image: Array | str | PathLike[str],
    task: str | Operator = "cs",
    *,
    ratio: float | None = None,
    noise: float = 0.0,
    seed: int = 0,
    colour: Literal["grey", "rgb"] | None = None,
    scale: Scale | None = None,
    name: str = "image",
    **options: Any,
) -> Measurement:
    """Simulate a measurement ``y = A x + n`` of an image.

    >>> import numpy, idmcli
    >>> m = idmcli.sense(numpy.random.rand(64, 64), task="cs", ratio=0.3, seed=1)
    >>> tuple(m.y.shape), m.amount.text
    ((1, 4, 308), '30.1 % measurements per pixel')

    Args:
        image: (H, W) or (H, W, 3), a NumPy array or a tensor, values in 0..1 or unsigned integers, whose largest value
            is white; or the path of a picture.
        task: what to measure: "cs", "inpainting", "mri", "ct", "deblur", "sr", "hdr", "nonlinear_deblur" or the task
            of an installed package; or an operator of your own.
        ratio: the fraction to measure, in (0, 1], for the tasks that have one.
        noise: standard deviation of Gaussian noise that is added to every measured number, for images in 0..1.
        seed: the seed of everything random, 0 to 2^32 - 1.
        colour: "grey" measures the luminance of a colour image, "rgb" refuses a grey one; None measures it as it is.
        scale: the values that 0 and 1 stand for; kept with the measurement.
        name: the name of the image; permutations, random masks and noise depend on it. For a path it is the file name.
        options: options of the task, as in [operator] of a configuration: ``views=60``, ``mask="boxes"``, ...

    Returns:
        The measurement, with the truth. :func:`reconstruct` returns the same kind of array as ``image``.

    Raises:
        InputError: the image is not such an array or cannot be read, or the operator does not fit it.
        ConfigError: an unknown task or option, or a value out of range.
    """
    if isinstance(image, str | PathLike):
        item = Item.parse(str(image))
        picture, provenance = read_image(item, scale=scale), Provenance.of_file("", item.path)
        container: Literal["numpy", "torch"] = "numpy"
    else:
        picture = _picture(image, name, scale)
        digest = hashlib.sha256(np.ascontiguousarray(picture.pixels).tobytes()).hexdigest()
        provenance = Provenance("", name, digest)
        container = "torch" if isinstance(image, Tensor) else "numpy"
    if isinstance(task, Operator):
        if ratio is not None or options:
            raise InputError("an operator of your own has no options", "set them when you build it")

        def disturb(y: Tensor, noise_seed: int) -> tuple[Tensor, float]:
            return (add_noise(y, noise, noise_seed) if noise else y), noise

        return replace(measured_by(picture, task, disturb, seed, provenance), container=container)
    channels = {"grey": 1, "rgb": 3, None: None}[colour]
    config = _config(
        {
            "task": ("task.kind", task),
            "ratio": ("operator.ratio", ratio),
            "noise": ("operator.noise", noise),
            "seed": ("operator.seed", seed),
            "colour": ("task.channels", channels),
            **{key: (f"operator.{key}", value) for key, value in options.items()},
        }
    )
    return replace(simulate(picture, config, provenance), container=container)


def reconstruct(
    y: Measurement | Array | str | PathLike[str],
    operator: Operator | None = None,
    *,
    method: str | None = None,
    prior: str | Prior | Callable[[Tensor, Tensor], Any] | None = None,
    weights: str | PathLike[str] | None = None,
    noise: float | None = None,
    gain: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> Any:
    """Reconstruct the image x from measurements ``y = A x + n``.

    >>> import numpy, idmcli
    >>> image = numpy.outer(numpy.linspace(0, 1, 32), numpy.ones(32))
    >>> m = idmcli.sense(image, task="inpainting", ratio=0.5)
    >>> x = idmcli.reconstruct(m, method="tv")
    >>> x.shape, bool(abs(x - image).mean() < 0.01)
    ((32, 32), True)

    Args:
        y: a measurement, or the path of a measurement file; or, with ``operator``, the measured values,
            (\\*operator.measurement_shape) or a batch (B, \\*operator.measurement_shape), a NumPy array or a tensor.
        operator: A, for measured values.
        method: the name of a method (``idm methods`` lists them); None: the default. An operator without a task
            has ``hqs`` with a prior for photographs.
        prior: for the methods that take one: the name of a prior that comes with idm, a weights file, a folder of
            diffusers; or a function ``denoise(noisy, sigma) -> clean`` (:class:`idmcli.FunctionPrior`).
        weights: a weights file of a trained network.
        noise: standard deviation of the noise in every measured number, in the unit of y. By default the measurement
            states it; for measured values it is 0.
        gain: the value of white, in the unit of y. By default the measurement states it; for measured
            values it is estimated. Give 1 for images in 0..1.
        seed: the seed of a method that samples; None: a seed made from the measurement.
        device: "auto" (the first GPU, or the CPU), "cpu", "cuda" or "cuda:N".
        precision: the number format of the networks.
        progress: a function that is called with the steps done and all steps.
        options: options of the method: ``iterations=20``, ...

    Returns:
        The image, (H, W) or (H, W, 3), float32 or complex64, in the unit of y where 1 stands for the gain; not clipped.
        It is the same kind of array as y, or as the measured image. A batch gives (B, H, W) or (B, H, W, 3).

    Raises:
        InputError: y does not fit the operator or is not finite, or the method cannot handle it.
        ConfigError: an unknown method or option, or wrong weights.
        NumericalError: the result is not finite.

    Warns:
        IdmWarning: the result does not fit the measurements and the noise, lies far outside 0..gain, or is a
            network's and much rougher than A+ y.
    """
    settings = SolverConfig(method=method, options=options)
    listener = Listener()
    methods = Methods(choose_device(device), precision=precision, warn=listener.warning)
    own = prior if prior is None or isinstance(prior, str) else as_prior(prior)

    def image_of(m: Measurement) -> Tensor:
        level = m.noise if m.gain is None else m.noise / m.gain
        ready = methods.method(
            None, m.operator, None if weights is None else Path(weights), settings, prior=own, noise=level
        )
        ready.check(m.operator)
        result = solve(m, ready, seed=seed, progress=progress)
        for doubt in result.doubts(ready):
            listener.warning(doubt)
        return result.raw[0]

    measured, batched = _measurements(y, operator, noise, gain)
    images = [image_of(m) for m in measured]
    laid_out = [image[0] if len(image) == 1 else image.permute(1, 2, 0) for image in images]
    x = torch.stack(laid_out) if batched else laid_out[0]
    return x if measured[0].container == "torch" else x.numpy()


def fit(x: Array, m: Measurement) -> Fit:
    """Say how well an image fits a measurement.

    >>> import numpy, idmcli
    >>> image = numpy.random.rand(16, 16)
    >>> idmcli.fit(image, idmcli.sense(image, task="inpainting")).misfit < 1e-6
    True

    Args:
        x: an image, (H, W) or (H, W, 3), as :func:`reconstruct` returns it.
        m: the measurement.

    Returns:
        ``misfit``, that is ``|A x - y| / |y|``; the misfit that the stated noise ``explained``; the share of values
        ``outside`` 0..gain; and the value of the ``brightest`` pixels.
    """
    image = torch.as_tensor(x)
    gain = 1.0 if m.gain is None else m.gain
    channels = image[None] if image.ndim == 2 else image.permute(2, 0, 1)
    return fit_of(channels[None] / gain, m.problem(gain))


def psnr(x: Array, truth: Array, peak: float = 1.0) -> float:
    """The peak signal-to-noise ratio ``10 log10(peak^2 / mean (x - truth)^2)`` of an image, in dB.

    >>> import numpy, idmcli
    >>> idmcli.psnr(numpy.full((8, 8), 0.6), numpy.full((8, 8), 0.5))
    20.0

    Args:
        x: the image, (H, W) or (H, W, 3), clipped to 0..peak before it is compared.
        truth: of the same shape.
        peak: white minus black.

    Raises:
        InputError: the shapes differ.
    """
    return round(float(metrics.psnr(*_compared(x, truth, peak), data_range=peak)), 10)


def ssim(x: Array, truth: Array, peak: float = 1.0) -> float:
    """The structural similarity of an image (Wang et al., IEEE TIP 2004), as scikit-image computes it by default.

    >>> import numpy, idmcli
    >>> idmcli.ssim(numpy.eye(8), numpy.eye(8))
    1.0

    Args:
        x: the image, (H, W) or (H, W, 3), clipped to 0..peak before it is compared.
        truth: of the same shape; NaN is returned where a side has fewer than 7 pixels.
        peak: white minus black.

    Raises:
        InputError: the shapes differ.
    """
    return float(metrics.ssim(*_compared(x, truth, peak), data_range=peak))


def _compared(x: Array, truth: Array, peak: float) -> tuple[Tensor, Tensor]:
    """Two images as batches of one, (1, C, H, W), the first clipped."""
    first, second = (torch.as_tensor(image).detach().cpu() for image in (x, truth))
    if first.shape != second.shape or first.ndim not in (2, 3):
        raise InputError(
            f"the images have the shapes {tuple(first.shape)} and {tuple(second.shape)}",
            "give two images of one shape, (H, W) or (H, W, 3)",
        )
    first, second = (image[None] if image.ndim == 2 else image.permute(2, 0, 1) for image in (first, second))
    return first[None].clamp(0, peak), second[None]


def load(path: str | PathLike[str]) -> Measurement:
    """Read a measurement file that ``idm sense`` or :meth:`Measurement.save` wrote.

    >>> import numpy, tempfile, idmcli
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     idmcli.sense(numpy.random.rand(32, 32)).save(f"{folder}/m.safetensors")
    ...     idmcli.load(f"{folder}/m.safetensors").operator.kind
    'cs'

    Raises:
        InputError: the file is missing or damaged, is no measurement file, or was written by a newer version.
    """
    return MEASUREMENT.read(Item.parse(str(path)))


def evaluate(
    data: str | PathLike[str],
    methods: Sequence[str] | None = None,
    *,
    task: str = "cs",
    ratio: float | Sequence[float] | None = None,
    noise: float = 0.0,
    seed: int = 0,
    colour: Literal["grey", "rgb"] = "grey",
    prior: str | None = None,
    weights: str | PathLike[str] | None = None,
    limit: int | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    listener: Listener | None = None,
    **options: Any,
) -> Comparison:
    """Compare methods on a folder of pictures: each picture is measured, reconstructed by each method, and scored.

    ``str(table)`` is a table of mean PSNR and SSIM, ``table.rows`` a list of dictionaries, and ``table.save(folder)``
    writes CSV and JSON.

    Args:
        data: the folder.
        methods: names of methods; the default for the task if None.
        task: what is measured, as in :func:`sense`.
        ratio: one or several ratios; None: the usual ratios of the task.
        noise: standard deviation of the noise, for images in 0..1.
        seed: the seed of everything random.
        colour: whether colour pictures are reduced to their luminance or measured in colour.
        prior: a prior for the methods that take one.
        weights: a weights file of a trained network.
        limit: the number of pictures to take, the first by name; None: all.
        device: as in :func:`reconstruct`.
        precision: the number format of the networks.
        listener: told of progress, warnings and failures; by default warnings are Python warnings.
        options: options of the task.

    Raises:
        InputError: the folder holds no picture, or all of them failed.
        ConfigError: an unknown task, method or option.
    """
    from idmcli.evaluation.benchmark import Benchmark
    from idmcli.evaluation.compare import compare
    from idmcli.evaluation.comparison import Comparison

    folder = Path(data)
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is not a folder", "name a folder of pictures")
    listener = listener or Listener()
    given = {
        "task": ("task.kind", task),
        "noise": ("operator.noise", noise),
        "seed": ("operator.seed", seed),
        "colour": ("task.channels", 3 if colour == "rgb" else 1),
        **{key: (f"operator.{key}", value) for key, value in options.items()},
    }
    ratios: Sequence[float | None]
    if ratio is None:
        of_task = tasks.find(_config(given).task.kind)
        ratios = [of_task.ratio(chosen) for chosen in of_task.validation(_config(given).operator)]
    else:
        ratios = [ratio] if isinstance(ratio, int | float) else list(ratio)
    configs = [_config({**given, "ratio": ("operator.ratio", value)}) for value in ratios]
    pictures = find_items([folder])[:limit]
    ready = Methods(choose_device(device), precision=precision, warn=listener.warning)
    name = folder.resolve().name if limit is None else f"{folder.resolve().name} (first {limit})"
    names: Sequence[str | None] = [None] if methods is None else list(methods)
    benchmark = Benchmark(name, configs, names, None if weights is None else Path(weights), ready, prior)
    comparison = Comparison(benchmark)
    compare(comparison, pictures, processes=Processes(ready.device), listener=listener)
    if not comparison.findings.scores:
        raise InputError(f"no picture of {str(folder)!r} could be evaluated", "the warnings say why")
    return comparison


def train(
    data: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    preset: str | None = None,
    init: str | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    device: str = "auto",
    listener: Listener | None = None,
) -> FinishedRun:
    """Train a network, as ``idm train`` does, and write a run folder with its weights.

    Args:
        data: one or several folders, files or patterns of pictures.
        out: the run folder.
        preset: a configuration that comes with idm, "prior-grey" for example; needed unless the run is resumed.
        init: weights to start from: the name of weights that come with idm, or a file.
        resume: continue the run in ``out``.
        settings: values of the configuration by key: ``{"training.iterations": 1000}``.
        device: as in :func:`reconstruct`.
        listener: told of progress and warnings; by default warnings are Python warnings.

    Returns:
        The finished run: its ``folder``, the file ``weights``, and the scores of the last ``validation`` in dB.

    Raises:
        ConfigError: an unknown preset or key, or a value out of range.
        InputError: the pictures or the folder cannot be used, or there is a run already.
        NumericalError: training diverged.
        ResourceError: out of memory, or the folder cannot be written to.
    """
    from idmcli.runs.workflow import run_training
    from idmcli.training.run_folder import RunFolder

    run = RunFolder(Path(out))
    if resume and not run.config.is_file():
        raise InputError(f"there is no run to resume in {str(run.path)!r}", "name its folder")
    if preset is None and not resume:
        raise InputError("nothing says what to train", "name a preset; `idm presets` lists them")
    flags = {key: (key, value) for key, value in (settings or {}).items()}
    config = load_config(None if resume else preset, run.config if resume else None, flags=flags).config
    sources = [data] if isinstance(data, str | PathLike) else list(data)
    return run_training(
        config,
        [str(source) for source in sources],
        run,
        processes=Processes(choose_device(device, config.training.threads)),
        listener=listener or Listener(),
        init=init,
        resume=resume,
    )


def _config(given: Mapping[str, tuple[str, Any]]) -> Config:
    return load_config(flags=dict(given)).config


def _picture(image: Array, name: str, scale: Scale | None) -> Image:
    """An array as a picture.

    Raises:
        InputError: it has another shape, other values, or values out of range.
    """
    pixels = np.asarray(image.detach().cpu() if isinstance(image, Tensor) else image)
    if pixels.ndim != 2 and pixels.shape[2:] != (3,):
        raise InputError(f"the image has the shape {pixels.shape}", "give (H, W) or (H, W, 3)")
    if not pixels.size:
        raise InputError("the image has no pixels", "give (H, W) or (H, W, 3)")
    if pixels.dtype in (np.uint8, np.uint16):
        return as_image(Picture(pixels), Item(Path(name)), scale=scale or Scale())
    if pixels.dtype.kind not in "fi":
        raise InputError(f"the image has values of type {pixels.dtype}", "give numbers in 0..1, or unsigned integers")
    if scale is not None:
        pixels = scale.apply(pixels.astype(np.float64))
    if not np.isfinite(pixels).all():
        raise InputError("the image holds NaN or infinity", "replace such values")
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0 or high > 1:
        raise InputError(
            f"the image has values from {low:g} to {high:g}, outside 0..1", "rescale it, or say what 0 and 1 stand for"
        )
    return Image(np.ascontiguousarray(pixels, np.float32), 32, Path(name), (), scale or Scale())


def _measurements(
    y: Measurement | Array | str | PathLike[str], operator: Operator | None, noise: float | None, gain: float | None
) -> tuple[list[Measurement], bool]:
    """One measurement, or one for each of a batch; and whether it is a batch."""
    if isinstance(y, str | PathLike):
        y = load(y)
    if isinstance(y, Measurement):
        if operator is not None:
            raise InputError("a measurement has its operator", "leave out the operator")
        return [replace(y, noise=y.noise if noise is None else noise, gain=y.gain if gain is None else gain)], False
    if operator is None:
        raise InputError("measured values need their operator", "call reconstruct(y, operator)")
    if not isinstance(operator, Operator):
        raise InputError(
            f"the operator is an object of type {type(operator).__name__}",
            "wrap its two functions: idmcli.LinearMap(forward, adjoint, image_shape=..., measurement_shape=...)",
        )
    values = torch.as_tensor(y).detach().cpu()
    double = values.dtype in (torch.float64, torch.complex128)
    wanted = torch.float64 if double and isinstance(y, Tensor) else torch.float32
    if values.is_complex() and not operator.complex_measurements:
        raise InputError("the measurements are complex, and the operator gives real ones", "take their real part")
    values = values.to(wanted.to_complex() if operator.complex_measurements else wanted)
    batched = values.ndim == len(operator.measurement_shape) + 1
    container: Literal["numpy", "torch"] = "torch" if isinstance(y, Tensor) else "numpy"
    return [
        Measurement(operator, each, noise or 0.0, gain, bits=16, container=container)
        for each in (values if batched else values[None])
    ], batched
