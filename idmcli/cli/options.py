"""Options that commands share, and what turns them into values."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from idmcli.cli.output import Output
from idmcli.errors import InputError
from idmcli.solvers import names as solver_names


def _preset_names() -> list[str]:
    from idmcli.config import list_presets

    return [preset.name for preset in list_presets()]


def complete_methods(incomplete: str) -> list[str]:
    """The methods whose name starts with what was typed."""
    return [name for name in solver_names() if name.startswith(incomplete)]


def complete_method_lists(incomplete: str) -> list[str]:
    """Lists of methods, separated by commas, that begin with what was typed."""
    done, comma, last = incomplete.rpartition(",")
    every = ["all"] if not done and "all".startswith(last) else []
    return every + [f"{done}{comma}{name}" for name in complete_methods(last)]


def complete_settings(incomplete: str) -> list[str]:
    """The keys of all sections, of whatever task, model or method, that start with what was typed."""
    from idmcli import tasks
    from idmcli.config import keys_of
    from idmcli.config.schema import SolverConfig, TaskConfig, TrainingConfig
    from idmcli.plugins import MODELS

    sections: list[tuple[str, type]] = [("task", TaskConfig), ("solver", SolverConfig), ("training", TrainingConfig)]
    sections += [("operator", tasks.find(kind).options) for kind in tasks.kinds()]
    sections += [("model", MODELS.find(name).settings) for name in MODELS.names()]
    if incomplete.startswith("solver."):  # methods import PyTorch
        from idmcli import solvers

        sections += [("solver", solvers.find(name).options) for name in solver_names()]
    keys = {f"{name}.{key}=" for name, section in sections for key in keys_of(section)}
    return sorted(key for key in keys if key.startswith(incomplete))


def complete_priors(incomplete: str) -> list[str]:
    """The priors that come with idm whose name starts with what was typed."""
    from idmcli.priors.sources import shipped_priors

    return [name for name in shipped_priors() if name.startswith(incomplete)]


PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="A configuration that comes with idm: inpainting, mri, ct, deblur, sr, ...; `idm presets` lists all.",
        autocompletion=_preset_names,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A TOML file of your own, on top of the preset.",
        rich_help_panel="Configuration",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change one value of the configuration; may be repeated. `idm tasks` and `idm methods` list keys.",
        autocompletion=complete_settings,
        rich_help_panel="Configuration",
    ),
]
PrintConfigOption = Annotated[
    bool,
    typer.Option(
        "--print-config",
        help="Print the merged configuration and the source of each value, then stop.",
        rich_help_panel="Configuration",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Where to compute.", rich_help_panel="Computation"),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.", rich_help_panel="Computation"),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, max=1024, help="CPU threads; PyTorch's choice if not given.", rich_help_panel="Computation"
    ),
]
TileOption = Annotated[
    int | None,
    typer.Option(
        "--tile",
        min=16,
        metavar="PIXELS",
        help="Limit the full-size network's attention to windows of this side, for large pictures.",
        rich_help_panel="Computation",
    ),
]
PrecisionOption = Annotated[
    Literal["auto", "float32", "bf16"],
    typer.Option(
        "--precision",
        help="Arithmetic of the networks. auto: bf16 where the device computes in it and the network loses nothing.",
        rich_help_panel="Computation",
    ),
]
EnsembleOption = Annotated[
    bool,
    typer.Option(
        "--ensemble",
        help="Average over all flips and quarter turns wherever a network is called: better, in 8 times the time.",
        rich_help_panel="Computation",
    ),
]
CompileOption = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="Pass the network through torch.compile: slow to start, for many pictures of one size.",
        rich_help_panel="Computation",
    ),
]
RatioOption = Annotated[
    float | None,
    typer.Option(
        "--ratio",
        help="Fraction measured, above 0 and at most 1: measurements per pixel (cs, 0.3 if not given), pixels kept "
        "(inpainting, 0.3), k-space sampled (mri, 0.2).",
    ),
]
MethodOption = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="NAME",
        help=f"{', '.join(solver_names())}; the default for the task if not given. `idm methods` describes them.",
        autocompletion=complete_methods,
    ),
]
ScaleOption = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="LOW,HIGH[,UNIT]",
        help="The values of black and white, -1024,3072,HU for example. In 8- and 16-bit pictures they belong to the "
        "samples 0 and 255, 65535 or --white. In a TIFF of signed or floating-point numbers they are samples. "
        "Measurements and results keep them. Not given: the scale in the file, or 0,1.",
        rich_help_panel="Measurement",
    ),
]
WhiteOption = Annotated[
    int | None,
    typer.Option(
        "--white",
        min=1,
        max=65535,
        metavar="SAMPLE",
        help="The sample that is white, 4095 for 12 bits in a 16-bit picture: the peak of PSNR, and white in results. "
        "Not given: the value in the file, or the largest sample.",
        rich_help_panel="Measurement",
    ),
]
SamplesOption = Annotated[
    int,
    typer.Option(
        "--samples",
        min=1,
        max=1000,
        metavar="N",
        help="Draw N samples by a method that samples, and write their mean and standard deviation beside the first.",
        rich_help_panel="Reconstruction",
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="A network for the method: a .safetensors file of idm, a released .pkl, or a run folder (the average of "
        "its last checkpoint). Not given: the network that comes with idm.",
        rich_help_panel="Reconstruction",
    ),
]
PriorOption = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="NAME|FILE|FOLDER|HUB",
        help="A prior for the methods that need one: the name of one that comes with idm, a weights file (DRUNet, "
        "FFDNet, DnCNN, IRCNN, guided diffusion, EDM), or the folder or hub name of a model of diffusers.",
        autocompletion=complete_priors,
        rich_help_panel="Reconstruction",
    ),
]
NoiseOption = Annotated[
    float | None,
    typer.Option(
        "--noise",
        metavar="SIGMA",
        help="Standard deviation of the noise. It is added to the measurements of a picture, for images in 0..1. For a "
        "measurement file that does not state its noise, it states the noise.",
        rich_help_panel="Measurement",
    ),
]
MatrixOption = Annotated[
    str | None,
    typer.Option(
        "--matrix",
        metavar="FILE",
        help="Measure by a matrix of your own: .npy, .npz or .mat, dense or sparse, one column for each pixel.",
        rich_help_panel="Measurement",
    ),
]
ShapeOption = Annotated[
    str | None,
    typer.Option(
        "--shape",
        metavar="H,W[,3]",
        help="The size of the image behind measured numbers, for --matrix.",
        rich_help_panel="Measurement",
    ),
]
GainOption = Annotated[
    float | None,
    typer.Option(
        "--gain",
        metavar="WHITE",
        help="The value of white in the image, in the unit of the measurements. Not given: the gain in the file, or "
        "an estimate.",
        rich_help_panel="Measurement",
    ),
]
SamplingWeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Measure by the sampling that a network in this file has learned.",
        rich_help_panel="Measurement",
    ),
]
ColourOption = Annotated[
    Literal["grey", "rgb"] | None,
    typer.Option(
        "--colour",
        help="grey measures the luminance of colour pictures; rgb measures the three channels.",
        rich_help_panel="Measurement",
    ),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace output files that exist.", rich_help_panel="Files")
]
SkipExistingOption = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave out inputs whose output files are all there.", rich_help_panel="Files"),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Check inputs and options, list what would be written, and write nothing.",
        rich_help_panel="Files",
    ),
]
RecursiveOption = Annotated[
    bool,
    typer.Option(
        "--recursive",
        help="Take the files of subfolders too; results go to subfolders of the same name.",
        rich_help_panel="Files",
    ),
]
MaxPixelsOption = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        min=1,
        help="Refuse pictures with more pixels (64 million if not given).",
        rich_help_panel="Files",
    ),
]

OUTPUT_FLAGS = {
    "json": "Print one JSON object instead of text.",
    "quiet": "Print results, warnings and errors only.",
    "no-color": "Print without colours; the environment variable NO_COLOR does the same.",
    "debug": "Print a traceback with an error.",
}
SHORT = {"quiet": ("-q",)}


def output_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --json, --quiet, --no-color and --debug, and record its other arguments.

    :func:`idmcli.cli.main` reads their values before the command line is parsed, so that wrong usage
    is reported in the form that was asked for. Here they are only declared.
    """

    @wraps(command)
    def wrapper(**values: Any) -> None:
        output = output_of(values["context"])
        output.quiet |= values["quiet"]  # also where it stands in -qo, for example
        given = {name: value for name, value in values.items() if name not in names}
        output.inputs(**{name: value for name, value in given.items() if name != "context"})
        _check_folder()
        command(**given)

    signature = inspect.signature(command, eval_str=True)
    names = {flag.replace("-", "_") for flag in OUTPUT_FLAGS}
    declared = [
        inspect.Parameter(
            flag.replace("-", "_"),
            inspect.Parameter.KEYWORD_ONLY,
            default=False,
            annotation=Annotated[
                bool, typer.Option(f"--{flag}", *SHORT.get(flag, ()), help=text, rich_help_panel="Output")
            ],
        )
        for flag, text in OUTPUT_FLAGS.items()
    ]
    parameters = [*signature.parameters.values(), *declared]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _check_folder() -> None:
    """Raise InputError where the working folder has been removed: libraries of PyTorch end the process there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the folder that idm works in has been removed", "change to another one") from None


def read_output_flags(arguments: Sequence[str]) -> Output:
    """The :class:`Output` that a command line asks for."""
    options = set(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    return Output(
        json="--json" in options,
        quiet=bool(options & {"--quiet", "-q"}),
        color="--no-color" not in options,
        debug="--debug" in options,
    )


def output_of(context: typer.Context) -> Output:
    """The channel of the running command to its user."""
    output = context.find_object(Output)
    assert output is not None, "commands are run by idmcli.cli.main"
    output.command = command_name(context)
    return output


def command_name(context: typer.Context) -> str:
    """The command a context belongs to, "presets show" for example; empty for ``idm`` itself."""
    return context.command_path.removeprefix("idm").strip()


CHANNELS = {"grey": 1, "rgb": 3, None: None}  # of --colour; None is "not given"


def measuring_flags(
    *,
    ratio: float | None = None,
    noise: float | None,
    colour: Literal["grey", "rgb"] | None,
    seed: int | None,
    matrix: str | None = None,
) -> dict[str, tuple[str, Any]]:
    """The keys that the options of a measurement set, for :func:`idmcli.config.load_config`."""
    return {
        "--ratio": ("operator.ratio", ratio),
        "--noise": ("operator.noise", noise),
        "--colour": ("task.channels", CHANNELS[colour]),
        "--seed": ("operator.seed", seed),
        "--matrix": ("operator.matrix_file", matrix),
        "implied by --matrix": ("task.kind", None if matrix is None else "matrix"),
    }


def sampling_flags(weights: Path | None) -> dict[str, tuple[str, Any]]:
    """The keys that weights set which learned how to measure; others set none."""
    if weights is None or not _learned_sampling(weights):
        return {}
    return {
        "--weights": ("operator.weights_file", str(weights)),
        "implied by --weights": ("task.kind", "learned"),
    }


def _learned_sampling(weights: Path) -> bool:
    """Whether a file holds a network that learned its own sampling."""
    from idmcli.learned.sampling import SamplingSettings
    from idmcli.models.checkpoints import kind_in
    from idmcli.plugins import MODELS

    kind = kind_in(weights) if weights.is_file() else ""
    return kind in MODELS.names() and issubclass(MODELS.find(kind).settings, SamplingSettings)


def size_of(flag: str, text: str | None) -> int | None:
    """The bytes that an option gives, or None.

    Raises:
        InputError: it is not a size.
    """
    from idmcli.sizes import parse_size

    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise InputError(
            f"{flag} {text!r} is not {error}", "units are B, KB, MB, GB, TB, KiB, MiB, GiB and TiB"
        ) from None


def shape_of(text: str) -> tuple[int, ...]:
    """The sizes that --shape gives.

    Raises:
        InputError: they are none.
    """
    sizes = text.split(",")
    if not all(size.strip().isdecimal() for size in sizes):
        raise InputError(f"--shape {text!r} is no size of an image", "write H,W or H,W,3")
    return tuple(int(size) for size in sizes)
