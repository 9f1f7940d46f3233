"""The commands with their arguments and options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from docs.generate.markdown import joined, prose, table
from idmcli.cli.app import command_tree
from idmcli.cli.options import OUTPUT_FLAGS

MAIN = "Main options"


def page() -> str:
    """Every command that is not hidden."""
    group = command_tree()
    return joined(
        "# Commands",
        prose(group.help),
        prose(group.epilog),
        "Every command also takes these options:",
        table(("option", "meaning"), [(f"`--{name}`", text) for name, text in OUTPUT_FLAGS.items()]),
        *(section for name, command in commands(group) for section in described(name, command)),
    )


def commands(group: Any, before: str = "idm") -> Iterator[tuple[str, Any]]:
    """The commands of a group and of its groups, with their whole names."""
    for name, command in group.commands.items():
        if not command.hidden:
            yield f"{before} {name}", command
            if hasattr(command, "commands"):
                yield from commands(command, f"{before} {name}")


def described(name: str, command: Any) -> Iterator[str]:
    """A section of the page."""
    yield f"## {name}"
    context = typer.Context(command, info_name=name)
    yield f"```text\n{name} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield re.sub(r"^Example: (.*)$", r"```console\n\1\n```", prose(command.help), flags=re.MULTILINE)
    own = [each for each in command.params if each.name.replace("_", "-") not in OUTPUT_FLAGS and each.name != "help"]
    arguments = [each for each in own if each.param_type_name == "argument"]
    if arguments:
        yield table(
            ("argument", "meaning"), [(f"`{each.metavar or each.name}`", prose(each.help)) for each in arguments]
        )
    panels: dict[str, list[Any]] = {}
    for each in own:
        if each not in arguments:
            panels.setdefault(getattr(each, "rich_help_panel", None) or MAIN, []).append(each)
    for panel, options in panels.items():
        yield f"**{panel}**"
        yield table(("option", "default", "meaning"), [_row(each, context) for each in options])


def _row(option: Any, context: Any) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    metavar = "" if option.is_flag else f" `{option.metavar or _kind(option)}`"
    default = "" if option.default in (None, False, ()) else f"`{option.default}`"
    return names + metavar, default, prose(option.help)


def _kind(option: Any) -> str:
    """The values of an option without a metavar."""
    annotation = option.type_descriptor.annotation
    choices = getattr(annotation, "__args__", None)
    return "|".join(map(str, choices)) if choices else {int: "N", float: "NUMBER"}.get(annotation, "TEXT")
