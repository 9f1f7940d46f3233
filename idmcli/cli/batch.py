"""Many input files in one command: where their results go, and what happens when one of them is bad."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from idmcli.errors import ConfigError, IdmError, InputError, NumericalError
from idmcli.output import Output, Progress

if TYPE_CHECKING:
    from idmcli.io.items import Item


def output_paths(
    inputs: Sequence[Item], folder: Path, endings: Sequence[str], *, overwrite: bool
) -> dict[Item, list[Path]]:
    """Each input to ``folder/<its stem><ending>``, one for each ending.

    Raises:
        InputError: two inputs give one output, an output is an input, or as :func:`refuse_existing`.
    """
    outputs: dict[Path, Item] = {}
    for item in inputs:
        for ending in endings:
            output = folder / (item.stem + ending)
            if output in outputs:
                raise InputError(
                    f"{str(outputs[output])!r} and {str(item)!r} would both be written to {str(output)!r}",
                    "rename one of them, or give them to two calls with another --out each",
                )
            outputs[output] = item
    own = {item.path.resolve() for item in inputs}
    for output, item in outputs.items():
        if output.resolve() in own:
            raise InputError(f"{str(item)!r}: the output {str(output)!r} is an input", "choose another --out")
    refuse_existing(outputs, overwrite=overwrite)
    return {item: [folder / (item.stem + ending) for ending in endings] for item in inputs}


def refuse_existing(outputs: Iterable[Path], *, overwrite: bool) -> None:
    """Raise InputError if an output exists and may not be replaced."""
    existing = [] if overwrite else [output for output in outputs if output.exists()]
    if existing:
        more = f", and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise InputError(f"{str(existing[0])!r} exists already{more}", "use --overwrite, or choose another --out")


def for_each(
    inputs: Sequence[Item], work: Callable[[Item, Progress], None], output: Output, what: str
) -> IdmError | None:
    """Do ``work`` for every input; a bad one is reported and does not stop the others.

    ``work`` may note on the progress it is given how far it is with its input.

    A ConfigError is about what was asked for, not about one input: it ends the command at once.

    Returns:
        What to raise in the end if some failed. With one input only, its own error is raised at once.
    """
    failures: list[IdmError] = []
    with output.progress(len(inputs), what) as progress:
        for item in inputs:
            try:
                work(item, progress)
            except ConfigError:
                raise
            except (InputError, NumericalError) as error:
                if str(item.path) not in error.message:
                    error = type(error)(f"{str(item)!r}: {error.message}", error.hint)
                if len(inputs) == 1:
                    raise error from None
                output.failure({"input": str(item)}, error)
                failures.append(error)
            progress.advance(note=item.name)
    if not failures:
        return None
    worst = max(failures, key=lambda error: error.exit_code)
    done = "" if len(failures) == len(inputs) else "the others are done; "
    return type(worst)(f"{len(failures)} of {len(inputs)} files failed", f"{done}the reasons are above")
