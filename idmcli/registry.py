"""Named parts that come with idm or with other packages, found without being imported."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Generic, TypeVar, cast

from idmcli.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """The parts of one sort, by name: idm's own, and the ones that installed packages offer as entry points.

    A package adds a part by an entry point of the registry's group, in its ``pyproject.toml``::

        [project.entry-points."idmcli.solvers"]
        my-method = "my_package.my_module:SOLVER"

    idm's own parts are entry points too; only their list comes from idm itself. A part is imported when it is asked
    for.

    Args:
        group: name of the entry points, "idmcli.solvers" for example.
        own: idm's own parts, name to ``module:attribute``.
        kind: the class, as ``module:attribute``, that every part is an instance of or, for a registry of classes, a
            subclass of; imported when the first part of another package is.
    """

    def __init__(self, group: str, own: Mapping[str, str], kind: str) -> None:
        self.group = group
        self._own = own
        self._kind = kind
        self._loaded: dict[str, T] = {}

    @cached_property
    def _entries(self) -> dict[str, EntryPoint]:
        own = {name: EntryPoint(name, place, self.group) for name, place in self._own.items()}
        others = {entry.name: entry for entry in entry_points(group=self.group)}
        return {**others, **own}  # a package cannot replace what idm brings

    def names(self) -> list[str]:
        """The names of all parts, sorted; none of them is imported for it."""
        return sorted(self._entries)

    def in_order(self) -> list[str]:
        """The names of idm's own parts in the order of their list, then the names of other parts, sorted."""
        return [*self._own, *sorted(self.others())]

    def others(self) -> dict[str, str]:
        """The parts of other packages: name to ``module:attribute``."""
        return {name: entry.value for name, entry in self._entries.items() if name not in self._own}

    def find(self, name: str) -> T:
        """The part of that name.

        Raises:
            LookupError: there is none.
            ConfigError: another package offers it, and it cannot be imported or is not what the group holds.
        """
        if name not in self._entries:
            raise LookupError(name)
        if name not in self._loaded:
            self._loaded[name] = self._load(self._entries[name])
        return self._loaded[name]

    def _load(self, entry: EntryPoint) -> T:
        if entry.name in self._own:
            return cast(T, entry.load())
        try:
            part = entry.load()
        except Exception as error:  # whatever a foreign module does
            raise ConfigError(
                f"{entry.name!r} of {entry.value} cannot be loaded: {type(error).__name__}: {error}",
                f"mend or remove the package that offers it to {self.group}",
            ) from error
        kind = EntryPoint("", self._kind, "").load()
        if not (isinstance(part, kind) or (isinstance(part, type) and issubclass(part, kind))):
            raise ConfigError(
                f"{entry.name!r} of {entry.value} is no {kind.__name__}, which {self.group} holds",
                "correct the entry point of that package",
            )
        return cast(T, part)


def parts_in(package: str, attribute: str, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """The parts of a package that holds one in each module: module name to ``module:attribute``.

    Args:
        package: its dotted name; it is not imported.
        attribute: the name that each module gives its part.
        without: modules that hold no part.
    """
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec else None
    names = [module.name for module in iter_modules(places) if module.name not in without]
    return {name: f"{package}.{name}:{attribute}" for name in names}
