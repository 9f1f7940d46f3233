"""``idm tasks``: what can be measured."""

from __future__ import annotations

from typing import Annotated

import typer

from idmcli import tasks as known_tasks
from idmcli.cli.options import output_flags, output_of
from idmcli.errors import InputError


def complete_tasks(incomplete: str) -> list[str]:
    """The tasks whose name starts with what was typed."""
    return [kind for kind in known_tasks.kinds() if kind.startswith(incomplete)]


@output_flags
def tasks(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="Only this one.", autocompletion=complete_tasks)
    ] = None,
) -> None:
    """List what can be measured, and the options of each task with their defaults.

    `--set operator.KEY=VALUE` sets an option, and so does a line in the section [operator] of a TOML file.

    Example: idm tasks mri
    """
    from idmcli.config import list_presets
    from idmcli.config.meanings import meanings
    from idmcli.config.render import inline

    output = output_of(context)
    if name is not None and name not in known_tasks.kinds():
        raise InputError(f"there is no task {name!r}", f"the tasks are {', '.join(known_tasks.kinds())}")
    presets = {preset.name for preset in list_presets()}
    for kind in known_tasks.kinds() if name is None else [name]:
        task = known_tasks.find(kind)
        options = {key: meaning._asdict() for key, meaning in meanings(task.options).items()}
        preset = task.preset if task.preset in presets else None
        record = {"name": kind, "summary": task.summary, "channels": task.channels, "preset": preset}
        lines = [kind, f"  {task.summary}", f"  --preset {preset}" if preset else f"  --set task.kind={kind}"]
        for key, meaning in options.items():
            setting = f"operator.{key}" + ("" if meaning["default"] is None else f" = {inline(meaning['default'])}")
            choices = " | ".join(map(str, meaning["choices"]))
            lines.append(f"  {setting:<32}  {meaning['text']}  {choices}".rstrip())
        output.result({**record, "options": options}, lines)
