"""A study as its file describes it: what is compared, and what is done with each variant."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import tomli
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from idmcli.config import preset_folder
from idmcli.config.render import inline
from idmcli.errors import ConfigError
from idmcli.ranges import Ratio, Seed

Action = Literal["train", "evaluate", "memory"]
ACTIONS: tuple[Action, ...] = ("train", "evaluate", "memory")  # in the order in which they are done
MAX_BYTES = 1_000_000
MAX_CASES = 10_000
Texts = Annotated[tuple[str, ...], Field(max_length=1000)]
Name = Annotated[str, Field(pattern=r"^\S.{0,78}$")]
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Variant:
    """One thing to compare with the others.

    Attributes:
        name: in tables, and of its folder.
        preset: to start from; the study's if None.
        set: ``section.key=value`` settings on top of the study's.
        small: more of them, at the small scale alone.
        init: weights that the training starts from.
        weights: what is evaluated without a training: a file, or the name of weights that come with idm.
        method: that reconstructs; the one of the weights if None.
        paper: the figures that were published for it, as text.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    preset: str | None = None
    set: Texts = ()
    small: Texts = ()
    init: str | None = None
    weights: str | None = None
    method: str | None = None
    paper: str = ""


@dataclass(frozen=True)
class Scale:
    """How large the variants are trained.

    Attributes:
        set: settings for every variant.
        seeds: of the trainings.
        init: weights that take the place of those that the variants start from; None for none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    set: Texts = ()
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    init: str | None = None


@dataclass(frozen=True)
class Study:
    """The content of a study file.

    Attributes:
        preset: the configuration that all start from.
        variants: what is compared.
        do: what happens with each variant.
        small: settings and seeds as they run on a CPU.
        paper: settings and seeds as the paper has them; None if the study has one scale only.
        ratios: at which to evaluate; the ratios of the configuration if empty.
        grid: values by key; every variant is repeated with each combination.
        budget: memory for which the largest batch is found too ("80GB"); None for none.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    preset: str
    variants: Annotated[tuple[Variant, ...], Field(min_length=1)] = (Variant("base"),)
    do: Annotated[tuple[Action, ...], Field(min_length=1)] = ACTIONS
    small: Scale = Scale()
    paper: Scale | None = None
    ratios: tuple[Ratio, ...] = ()
    grid: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    budget: str | None = None

    def expanded(self) -> list[Variant]:
        """The variants, each with every combination of the grid's values."""
        found = []
        for variant in self.variants:
            for values in product(*self.grid.values()):
                settings = tuple(f"{key}={inline(value)}" for key, value in zip(self.grid, values, strict=True))
                short = [f"{key.rpartition('.')[2]}={value}" for key, value in zip(self.grid, values, strict=True)]
                alone = len(self.variants) == 1 and short
                name = " ".join(short if alone else [variant.name, *short])
                found.append(replace(variant, name=name, set=(*variant.set, *settings)))
        return found


def parse_study(text: str, source: str) -> Study:
    """A study from the text of its file.

    Raises:
        ConfigError: naming all that is wrong with it.
    """
    try:
        content = tomli.loads(text)
        study = TypeAdapter(Study).validate_python(content)
    except tomli.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}", 'values look like key = 1 or key = "text"') from error
    except ValidationError as error:
        lines = [
            f"{source}: {'.'.join(map(str, problem['loc']))}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False)[:20]
        ]
        raise ConfigError("\n".join(lines), "`idm study --show table6` prints a complete example") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source} holds a value that cannot be read", "check its numbers and lists") from error
    _check(study, source)
    return study


def _check(study: Study, source: str) -> None:
    """Raise ConfigError for what is wrong with a study as a whole."""
    seeds = max(len(scale.seeds) for scale in (study.small, study.paper) if scale)
    count = len(study.variants) * seeds
    for values in study.grid.values():
        count *= len(values)
    if not 0 < count <= MAX_CASES:
        raise ConfigError(f"{source} has {count} cases", f"a study has from 1 to {MAX_CASES}")
    folders = [folder_name(variant.name) for variant in study.expanded()]
    twice = next((name for name in folders if folders.count(name) > 1), None)
    if twice:
        raise ConfigError(f"{source}: two variants are called {twice!r}", "give each a name of its own")


def folder_name(name: str) -> str:
    """The name of a variant as a name of a folder: letters, digits, dots, and dashes for all else."""
    return re.sub(r"[^\w.+=]+", "-", name).strip("-.").lower() or "-"


def list_studies() -> dict[str, str]:
    """The text of each study that comes with idm, by name."""
    paths = sorted((preset_folder() / "studies").glob("*.toml"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def read_study(source: str) -> tuple[Study, str]:
    """A study and its text, from a file or by the name of one that comes with idm.

    Raises:
        ConfigError: there is none, it cannot be read, or something in it is wrong.
    """
    shipped = list_studies()
    if source in shipped:
        return parse_study(shipped[source], f"study {source}"), shipped[source]
    path = Path(source)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"{source!r} is larger than {MAX_BYTES // 10**6} MB", "a study is a short TOML file")
        text = data.decode("utf-8-sig")
    except OSError as error:
        names = ", ".join(shipped)
        raise ConfigError(
            f"there is no study {source!r}: {error.strerror}", f"name a TOML file, or one of {names}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source!r} is not UTF-8 text", "save it as UTF-8") from error
    return parse_study(text, source), text


def purpose(text: str) -> str:
    """The purpose of a study: the first line of its file."""
    return text.partition("\n")[0].removeprefix("#").strip()
