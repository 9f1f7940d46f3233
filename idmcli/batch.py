"""Many input files in one call: where their results go, and what happens when one of them is bad."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from idmcli.errors import ConfigError, IdmError, InputError, MemoryShortage, ResourceError, error_of
from idmcli.reporting import Count, Listener

if TYPE_CHECKING:
    from idmcli.io.items import Item

MAX_NAME = 255  # bytes


class Outputs(NamedTuple):
    """The files of one input.

    Attributes:
        paths: one for each ending.
        replace: whether those that exist may be replaced; if not, none is that another process makes meanwhile.
    """

    paths: list[Path]
    replace: bool


def find_inputs(
    names: Iterable[str], listener: Listener, *, suffixes: Collection[str] | None = None, recursive: bool = False
) -> tuple[list[Item], list[IdmError]]:
    """The items that names stand for, and the errors of the names that stand for none, which are told.

    Args:
        names: files, pages ``FILE#N``, folders and patterns.
        listener: told of each name that stands for nothing.
        suffixes: of the files that are taken from folders; the suffixes of pictures if None.
        recursive: take the files of subfolders too.

    Returns:
        the items, each once, and the errors, for :func:`for_each`.

    Raises:
        InputError: no name stands for anything.
    """
    from idmcli.io.images import NO_ITEMS, look_for

    items, problems = look_for(names, suffixes=suffixes, recursive=recursive)
    if not items:
        raise InputError("; ".join(problems.values()), NO_ITEMS)
    errors: list[IdmError] = []
    for name, problem in problems.items():
        errors.append(error := InputError(problem, NO_ITEMS))
        listener.failure(name, error)
    return items, errors


def output_paths(
    inputs: Sequence[Item],
    folder: Path,
    endings: Sequence[str],
    *,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> dict[Item, Outputs]:
    """Each input to ``folder/<its subfolder>/<its stem><ending>``, one for each ending.

    With ``skip_existing``, inputs whose outputs all exist are left out, and outputs of other inputs may be replaced.

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
    return {
        item: Outputs(paths, overwrite or any(path.exists() for path in paths))
        for item, paths in every.items()
        if not (skip_existing and all(path.exists() for path in paths))
    }


def refuse_existing(outputs: Iterable[Path], *, overwrite: bool) -> None:
    """Raise InputError if an output exists and may not be replaced, or is no file; a link to nothing may be."""

    def replaceable(output: Path) -> bool:
        return overwrite and (os.path.isfile(output) or not os.path.exists(output))

    existing = [output for output in outputs if os.path.lexists(output) and not replaceable(output)]
    if existing and overwrite:
        raise InputError(f"{str(existing[0])!r} is not a file that can be replaced", "choose another --out")
    if existing:
        more = f", and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise InputError(f"{str(existing[0])!r} exists already{more}", "use --overwrite, or choose another --out")


def for_each(
    inputs: Sequence[Item],
    work: Callable[[Item, Count], None],
    listener: Listener,
    what: str,
    failures: Sequence[IdmError] = (),
) -> IdmError | None:
    """:func:`try_each`, with each failure told as it happens.

    Args:
        inputs: what there is to do.
        work: done for each of them.
        listener: told of progress and failures.
        what: the work, for the progress.
        failures: of inputs that are not there, told before.

    Returns:
        The error to raise in the end if some failed. With one input only, its own error is raised at once.
    """
    count = len(inputs) + len(failures)

    def failed(item: Item, error: IdmError) -> None:
        if count == 1:
            raise error
        listener.failure(str(item), error)

    return some_failed([*failures, *try_each(inputs, work, listener, what, failed)], count)


def try_each(
    inputs: Sequence[Item],
    work: Callable[[Item, Count], None],
    listener: Listener,
    what: str,
    failed: Callable[[Item, IdmError], None],
) -> list[IdmError]:
    """Do ``work`` for every input; whatever one of them raises does not stop the others.

    ``work`` may note on the progress it is given how far it is with its input, and ``failed`` is told of each failure.

    A ConfigError is about what was asked for and not about one input, and so is a full disk: they end the command at
    once.
    """
    failures: list[IdmError] = []
    with listener.progress(len(inputs), what) as progress:
        for item in inputs:
            try:
                work(item, progress)
            except ConfigError:
                raise
            except Exception as failure:
                error = error_of(failure)
                if isinstance(error, ResourceError) and not isinstance(error, MemoryShortage):
                    raise
                error = _about(item, error)
                error.__cause__ = failure
                failed(item, error)
                failures.append(error)
            progress.advance(note=item.name)
    return failures


def some_failed(failures: Sequence[IdmError], count: int) -> IdmError | None:
    """The error to raise in the end for the failures of ``count`` inputs."""
    if not failures:
        return None
    worst = max(failures, key=lambda error: error.exit_code)
    done = "" if len(failures) == count else "the others are done; "
    return type(worst)(f"{len(failures)} of {count} files failed", f"{done}the reasons are above")


def _about(item: Item, error: IdmError) -> IdmError:
    """An error that names its input."""
    if str(item.path) in error.message:
        return error
    return type(error)(f"{str(item)!r}: {error.message}", error.hint)


def prepare_folders(files: Mapping[Item, Outputs], folder: Path, listener: Listener, *, of: int, dry_run: bool) -> None:
    """Make ``folder`` and those below it that the outputs go to, before long work; say what is left out of ``of``.

    Raises:
        InputError: one of them is no folder.
        ResourceError: one of them cannot be written to.
    """
    from idmcli.io.atomic import check_writable, ensure_writable

    if len(files) < of:
        listener.status(f"{of - len(files)} of {of} inputs are left out: their outputs are there")
    for place in sorted({folder, *(path.parent for outputs in files.values() for path in outputs.paths)}):
        (check_writable if dry_run else ensure_writable)(place)
