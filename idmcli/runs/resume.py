"""Checks that a resumed run is the run that was started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from idmcli.config import sections_of
from idmcli.errors import InputError
from idmcli.text import escape

if TYPE_CHECKING:
    from idmcli.config import Config

MAY_CHANGE = tuple(
    f"training.{key}"
    for key in (
        *("iterations", "checkpoint_every", "log_every", "validate_every"),
        *("accumulate", "compile", "threads", "memory", "memory_budget", "cache", "workers"),
    )
)
HINT = (
    f"on --resume only {', '.join(key.removeprefix('training.') for key in MAY_CHANGE)} of [training] may change; "
    "start a new run for anything else, with --init if it is to go on from these weights"
)


def check_config(started: Config, resumed: Config) -> None:
    """Refuse a configuration that would make another run of it.

    Raises:
        InputError: naming the first key that differs, and both values.
    """
    asked = sections_of(resumed)
    for section, content in sections_of(started).items():
        for key, before in content.items():
            now, name = asked[section].get(key), f"{section}.{key}"
            if before != now and name not in MAY_CHANGE and section != "solver":
                raise InputError(f"{name} = {_show(now)}, but the run was started with {_show(before)}", HINT)


def check_data(started: Mapping[str, Any], resumed: Mapping[str, Any]) -> None:
    """Refuse other pictures than the record of a run names; a run without a record is taken as it is.

    Raises:
        InputError: naming both.
    """
    if started and started.get("data") != resumed["data"]:
        before, now = (
            f"{escape(str(record.get('pictures')))} pictures (names and sizes {escape(str(record.get('data')))})"
            for record in (started, resumed)
        )
        raise InputError(
            f"--data holds {now}, but the run was started with {before}",
            "name the same pictures as before",
        )


def check_iterations(done: int, iterations: int) -> None:
    """Refuse to go back.

    Raises:
        InputError: there are more iterations done than asked for.
    """
    if done > iterations:
        raise InputError(
            f"training.iterations = {iterations}, but the run has done {done}",
            f"set training.iterations to {done} or more",
        )


def _show(value: Any) -> str:
    from idmcli.config.render import inline

    return "not set" if value is None else inline(value)
