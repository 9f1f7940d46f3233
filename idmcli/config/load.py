"""Merge the sources of a configuration, and report every problem in them at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import tomli
from pydantic import ConfigDict, TypeAdapter, ValidationError

from idmcli import tasks
from idmcli.config.presets import read_preset
from idmcli.config.render import inline, sections_of
from idmcli.config.schema import Config, ModelSettings, SolverConfig, TaskConfig, conflicts
from idmcli.errors import ConfigError
from idmcli.io.records import check_depth
from idmcli.plugins import MODELS

MAX_BYTES = 1_000_000
MAX_PROBLEMS = 50  # named in one message
EXAMPLE = "`idm presets show NAME` prints a complete example"
SECTIONS: dict[str, type] = {**get_type_hints(Config), "model": ModelSettings}
# The key that named the kind of model in the first versions, and its values. Its files gave every key of [model].
STAGE = "training.stage"
KIND_OF_STAGE = {"prior": "prior", "conditional": "sr3", "latent": "latent", "end-to-end": "idm"}
SOLVER_KEYS = ("method", "seed")  # of [solver], beside the options of the method


@dataclass(frozen=True)
class LoadedConfig:
    """A configuration and where each value came from.

    Attributes:
        config: the merged configuration.
        sources: "section.key" to "default", "preset NAME", a file name, "environment IDM_X", "--set" or a flag.
    """

    config: Config
    sources: dict[str, str]


@dataclass(frozen=True)
class Setting:
    """One value from one source, not yet checked."""

    key: str
    value: Any
    source: str


def load_config(
    preset: str | None = None,
    file: Path | None = None,
    overrides: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, tuple[str, Any]] | None = None,
) -> LoadedConfig:
    """Merge default < preset < file < environment < ``--set`` < flags.

    Args:
        preset: name of a shipped preset.
        file: a TOML file of the user's.
        overrides: ``section.key=value`` strings; values are TOML, anything else is a plain string.
        env: the environment; ``IDM_SECTION__KEY`` variables count.
        flags: flag name to (key, value), e.g. ``{"--ratio": ("operator.ratio", 0.3)}``; None is "not given".

    Raises:
        ConfigError: naming source, key, what was found and what is expected, for all problems together (at most 50).
    """
    settings: list[Setting] = []
    problems: list[str] = []
    if preset is not None:
        settings += _from_toml(read_preset(preset).text, f"preset {preset}", problems)
    if file is not None:
        settings += _from_toml(_read(file), str(file), problems)
    settings += _from_environment(env or {})
    settings += _from_overrides(overrides, problems)
    settings += [Setting(key, value, name) for name, (key, value) in (flags or {}).items() if value is not None]

    settings = _modern(settings)
    hints = {EXAMPLE} if problems else set()
    values: dict[str, Any] = {}
    sections = _sections(settings)
    sources = {f"{section}.{key}": "default" for section, kind in sections.items() for key in keys_of(kind)}
    for setting in settings:
        if len(problems) >= MAX_PROBLEMS:
            break
        if unknown := _unknown(setting, sections):
            problems.append(f"{setting.source}: {unknown}")
            hints.add(EXAMPLE)
        elif wrong := _check(setting, values, sections):
            problems.append(f"{setting.source}: {wrong}")
            hints.add(f"correct {setting.source}")
        else:
            sources[setting.key] = setting.source
    config = _build(values, sections)
    for key in _giving_way(config, sources):
        del values[key]
        sources[key] = "default"
        config = _build(values, sections)
    if not problems:
        for keys, expected in conflicts(config):
            found = ", ".join(f"{_setting(key, value_of(config, key))} ({sources[key]})" for key in keys)
            problems.append(f"{found}: {expected}")
            hints.add("--print-config shows where each value comes from")
    if problems:
        count = f"{MAX_PROBLEMS} or more" if len(problems) >= MAX_PROBLEMS else str(len(problems))
        several = f"{count} problems in the configuration:\n" if len(problems) > 1 else ""
        raise ConfigError(several + "\n".join(problems[:MAX_PROBLEMS]), "; ".join(sorted(hints)))
    return LoadedConfig(config, sources)


def _modern(settings: Sequence[Setting]) -> list[Setting]:
    """The settings with ``model.kind`` in the place of ``training.stage``, and without the keys of [model] that are for
    another kind and come from a preset whose kind gave way, or from a file of the first versions."""
    old = {setting.source for setting in settings if setting.key == STAGE}
    modern = [
        setting
        if setting.key != STAGE
        else replace(setting, key="model.kind", value=KIND_OF_STAGE.get(setting.value, setting.value))
        for setting in settings
    ]
    kinds = [setting for setting in modern if setting.key == "model.kind"]
    yielding = old | {kind.source for kind in kinds[:-1] if kind.source.startswith("preset ")}
    own = keys_of(_sections(modern)["model"])

    def stays(setting: Setting) -> bool:
        section, _, key = setting.key.partition(".")
        elsewhere = any(key in keys_of(MODELS.find(name).settings) for name in MODELS.names())
        return not (section == "model" and setting.source in yielding and key not in own and elsewhere)

    return [setting for setting in modern if stays(setting)]


def _sections(settings: Sequence[Setting]) -> dict[str, type]:
    """The dataclass of each section; for [operator] and [model], of the kind that is named last."""

    def last(key: str, known: Sequence[str], otherwise: str) -> str:
        named = [setting.value for setting in settings if setting.key == key and setting.value in known]
        return str(named[-1]) if named else otherwise

    task = last("task.kind", tasks.kinds(), TaskConfig().kind)
    model = last("model.kind", MODELS.names(), ModelSettings().kind)
    return {**SECTIONS, "operator": tasks.find(task).options, "model": MODELS.find(model).settings}


def _build(values: Mapping[str, Any], sections: Mapping[str, type]) -> Config:
    built = {name: kind(**_section(values, name)) for name, kind in sections.items() if kind is not SolverConfig}
    solver = _section(values, "solver")
    own = {key: solver.pop(key) for key in SOLVER_KEYS if key in solver}
    return Config(**built, solver=SolverConfig(**own, options=solver))


def _giving_way(config: Config, sources: Mapping[str, str]) -> set[str]:
    """The options of a preset's operator that what the user set excludes: the ratio where another mask is asked for."""

    def of_preset(key: str) -> bool:
        return key.startswith("operator.") and sources[key].startswith("preset ")

    return {
        key
        for keys, _ in conflicts(config)
        for key in keys
        if of_preset(key) and any(not of_preset(other) and sources[other] != "default" for other in keys)
    }


def _read(file: Path) -> str:
    """Text of a configuration file of at most 1 MB; a UTF-8 byte-order mark is allowed."""
    try:
        if not file.exists():
            raise ConfigError(f"{str(file)!r} does not exist", "check the name given to --config")
        if not file.is_file():
            raise ConfigError(f"{str(file)!r} is not a file", "--config takes one TOML file")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error.strerror}", "check its permissions") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"{str(file)!r} is larger than {MAX_BYTES // 10**6} MB", "a configuration is a short TOML file"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{str(file)!r} is not UTF-8 text (line {line})", "save it as UTF-8") from error


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        content = tomli.loads(text)
        check_depth(content)
        return content
    except tomli.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}", 'values look like key = 1 or key = "text"') from error
    except (ValueError, RecursionError) as error:  # absurdly long integers, absurdly deep lists and keys
        raise ConfigError(f"{source} holds a value that cannot be read", "check its numbers and lists") from error


def _from_toml(text: str, source: str, problems: list[str]) -> Iterator[Setting]:
    for section, content in _parse(text, source).items():
        if section in SECTIONS and isinstance(content, dict):
            yield from (Setting(f"{section}.{key}", value, source) for key, value in content.items())
        elif isinstance(content, dict):
            problems.append(f"{source}: unknown section [{section}]{_closest(section, SECTIONS)}")
        elif section in SECTIONS:
            problems.append(f"{source}: {section} = {_show(content)}: expected a section, [{section}]")
        else:
            kinds = [*SECTIONS.items(), *(("operator", tasks.find(kind).options) for kind in tasks.kinds())]
            home = {f"{name}.{section}" for name, kind in kinds if section in keys_of(kind)}
            problems.append(f"{source}: {section} stands outside any section{_closest(section, home)}")


def _from_environment(env: Mapping[str, str]) -> Iterator[Setting]:
    for name, text in sorted(env.items()):
        section, separator, key = name.removeprefix("IDM_").lower().partition("__")
        if name.startswith("IDM_") and separator:
            yield Setting(f"{section}.{key}", _toml_value(text), f"environment {name}")


def _from_overrides(overrides: Sequence[str], problems: list[str]) -> Iterator[Setting]:
    for override in overrides:
        key, _, text = override.partition("=")
        if all(key.strip().partition(".")) and key != override:
            yield Setting(key.strip(), _toml_value(text.strip()), "--set")
        else:
            problems.append(f"--set: {_show(override)}: expected section.key=value")


def _toml_value(text: str) -> Any:
    """``text`` as a TOML value, or as it stands where it is none."""
    try:
        table = tomli.loads(f"value = {text}")
        check_depth(table)
    except (ValueError, RecursionError):
        return text
    return table["value"] if list(table) == ["value"] else text


def _unknown(setting: Setting, sections: Mapping[str, type]) -> str:
    """The problem with the name of a setting, or nothing. Options of a method are checked where it is known."""
    section, _, key = setting.key.partition(".")
    if section not in sections:
        return f"unknown section [{section}] in {setting.key}{_closest(section, sections)}"
    if key in keys_of(sections[section]) or (section == "solver" and key.isidentifier()):
        return ""
    options = {
        "operator": ("task", {kind: tasks.find(kind).options for kind in tasks.kinds()}),
        "model": ("kind", {kind: MODELS.find(kind).settings for kind in MODELS.names()}),
    }
    if section in options:
        noun, of_kinds = options[section]
        owners = [kind for kind, keys in of_kinds.items() if key in keys_of(keys)]
        if owners:
            here = next(kind for kind, keys in of_kinds.items() if keys is sections[section])
            names = " or ".join([", ".join(owners[:-1]), owners[-1]]) if len(owners) > 1 else owners[0]
            keys = ", ".join(keys_of(sections[section]))
            return f"{section}.{key} is for {noun} {names}, and the {noun} is {here}, which has {keys}"
    known = [f"{name}.{key}" for name, kind in sections.items() for key in keys_of(kind)]
    elsewhere = [name for name in sorted(known) if name.endswith(f".{key}")]
    return f"unknown key {setting.key}{_closest(setting.key, elsewhere or known)}"


def _closest(name: str, known: Sequence[str] | Mapping[str, Any] | set[str]) -> str:
    candidates = sorted(known)
    close = candidates if len(candidates) == 1 else get_close_matches(name, candidates, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _check(setting: Setting, values: dict[str, Any], sections: Mapping[str, type]) -> str:
    """Store a valid value; what is wrong with an invalid one, or nothing."""
    section, _, key = setting.key.partition(".")
    if section == "solver" and key not in SOLVER_KEYS:
        values[setting.key] = setting.value
        return ""
    values[setting.key], problem = check_value(sections[section], key, setting.value)
    if problem:
        del values[setting.key]
    return problem and f"{section}.{problem}"


def check_value(kind: type, key: str, value: Any) -> tuple[Any, str]:
    """A value for a field of a dataclass, and what is wrong with it, or nothing."""
    try:
        return _adapter(kind, key).validate_python(_tuples(value)), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"[{index}]" for index in first["loc"])
        expected = (
            first["msg"].removeprefix("Input should be ").removeprefix("Value error, ").replace("valid tuple", "list")
        )
        return None, f"{key}{place} = {_show(value)}: expected {expected}"


@cache
def _adapter(kind: type, key: str) -> TypeAdapter[Any]:
    hint = get_type_hints(kind, include_extras=True)[key]
    return TypeAdapter(hint, config=ConfigDict(strict=True))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _setting(key: str, value: Any) -> str:
    return f"{key} is not set" if value is None else f"{key} = {_show(value)}"


def _show(value: Any) -> str:
    text = inline(value)
    return text if len(text) <= 60 else text[:57] + "..."


def keys_of(kind: type) -> list[str]:
    """The keys of a section by its dataclass; the section [solver] without the options of methods."""
    return list(SOLVER_KEYS) if kind is SolverConfig else [key.name for key in fields(kind)]


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key.removeprefix(f"{name}."): value for key, value in values.items() if key.startswith(f"{name}.")}


def value_of(config: Config, key: str) -> Any:
    """The value of a key, "operator.ratio" for example."""
    section, _, name = key.partition(".")
    return sections_of(config)[section][name]
