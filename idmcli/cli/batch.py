"""Many input files in one command: where their results go, and what happens when one of them is bad."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from idmcli.cli.output import Output
from idmcli.errors import ConfigError, IdmError, InputError, MemoryShortage, NumericalError, out_of_memory
from idmcli.reporting import Count
from idmcli.tasks import task_of
from idmcli.text import escape

if TYPE_CHECKING:
    from idmcli.io.items import Item
    from idmcli.operators import Operator

MAX_NAME = 255  # bytes


def output_paths(
    inputs: Sequence[Item],
    folder: Path,
    endings: Sequence[str],
    *,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> dict[Item, list[Path]]:
    """Each input to ``folder/<its subfolder>/<its stem><ending>``, one for each ending.

    With ``skip_existing`` inputs whose outputs are all there are left out, and those of the others may be replaced.

    Raises:
        InputError: two inputs give one output, an output is an input or its name too long, or as
            :func:`refuse_existing`.
    """
    every = {item: [folder / item.below / (item.stem + ending) for ending in endings] for item in inputs}
    outputs: dict[Path, Item] = {}
    for item, paths in every.items():
        for output in paths:
            if output in outputs:
                raise InputError(
                    f"{str(outputs[output])!r} and {str(item)!r} would both be written to {str(output)!r}",
                    "rename one of them, or give them to two calls with another --out each",
                )
            if len(os.fsencode(output.name)) > MAX_NAME:
                raise InputError(f"{str(item)!r}: the name of its output {output.name!r} is too long", "shorten it")
            outputs[output] = item
    own = {os.path.realpath(item.path) for item in inputs}
    for output, item in outputs.items():
        if os.path.realpath(output) in own:
            raise InputError(f"{str(item)!r}: the output {str(output)!r} is an input", "choose another --out")
    if skip_existing and overwrite:
        raise InputError("--skip-existing keeps what --overwrite replaces", "leave out one of them")
    refuse_existing(outputs, overwrite=overwrite or skip_existing)
    return {item: paths for item, paths in every.items() if not (skip_existing and all(p.exists() for p in paths))}


def refuse_existing(outputs: Iterable[Path], *, overwrite: bool) -> None:
    """Raise InputError if an output exists and may not be replaced, or is a folder."""
    existing = [o for o in outputs if os.path.exists(o) and not (overwrite and os.path.isfile(o))]
    if existing and overwrite:
        raise InputError(f"{str(existing[0])!r} is no file that could be replaced", "choose another --out")
    if existing:
        more = f", and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise InputError(f"{str(existing[0])!r} exists already{more}", "use --overwrite, or choose another --out")


def for_each(inputs: Sequence[Item], work: Callable[[Item, Count], None], output: Output, what: str) -> IdmError | None:
    """:func:`try_each`, with each failure told as it happens.

    Returns:
        What to raise in the end if some failed. With one input only, its own error is raised at once.
    """

    def failed(item: Item, error: IdmError) -> None:
        if len(inputs) == 1:
            raise error from None
        output.failure({"input": str(item)}, error)

    return some_failed(try_each(inputs, work, output, what, failed), len(inputs))


def try_each(
    inputs: Sequence[Item],
    work: Callable[[Item, Count], None],
    output: Output,
    what: str,
    failed: Callable[[Item, IdmError], None],
) -> list[IdmError]:
    """Do ``work`` for every input; a bad one, or one too large for the memory, does not stop the others.

    ``work`` may note on the progress it is given how far it is with its input, and ``failed`` is told of each failure.

    A ConfigError is about what was asked for, not about one input: it ends the command at once.
    """
    failures: list[IdmError] = []
    with output.progress(len(inputs), what) as progress:
        for item in inputs:
            try:
                work(item, progress)
            except ConfigError:
                raise
            except Exception as failure:
                error = _about(item, failure)
                if error is None:
                    raise
                failed(item, error)
                failures.append(error)
            progress.advance(note=item.name)
    return failures


def some_failed(failures: Sequence[IdmError], count: int) -> IdmError | None:
    """What to raise in the end for the failures of ``count`` inputs."""
    if not failures:
        return None
    worst = max(failures, key=lambda error: error.exit_code)
    done = "" if len(failures) == count else "the others are done; "
    return type(worst)(f"{len(failures)} of {count} files failed", f"{done}the reasons are above")


def _about(item: Item, failure: Exception) -> IdmError | None:
    """The error of one input; None for a failure that is not about this input."""
    if isinstance(failure, InputError | NumericalError | MemoryShortage):
        if str(item.path) in failure.message:
            return failure
        return type(failure)(f"{str(item)!r}: {failure.message}", failure.hint)
    if out_of_memory(failure):
        return MemoryShortage(f"{str(item)!r}: out of memory", "use a smaller image, or another --device or --method")
    return None


def prepare_folders(
    files: Mapping[Item, Sequence[Path]], folder: Path, output: Output, *, of: int, dry_run: bool
) -> None:
    """Make ``folder`` and those below it that the outputs go to, before long work; say what is left out of ``of``.

    Raises:
        InputError: one of them is no folder.
        ResourceError: one of them cannot be written to.
    """
    from idmcli.io.atomic import check_writable, ensure_writable

    if len(files) < of:
        output.status(f"{of - len(files)} of {of} inputs are left out: their outputs are there")
    for place in sorted({folder, *(path.parent for paths in files.values() for path in paths)}):
        (check_writable if dry_run else ensure_writable)(place)


def plan(item: Item, outputs: Sequence[Path], operator: Operator, output: Output, method: str | None = None) -> None:
    """Report what would be done with an input."""
    amount = task_of(operator).amount(operator)
    record = {"input": str(item), "outputs": outputs, "kind": operator.kind, "ratio": amount.ratio, "method": method}
    by = f", method {method}" if method else ""
    names = escape(", ".join(map(str, outputs)))
    output.result(record, f"{escape(str(item))} -> {names}: {operator.kind}, {amount.text}{by} (not done)")
