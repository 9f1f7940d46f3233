"""The way from raw data in a file to a measurement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from idmcli.config import check_value
from idmcli.errors import InputError
from idmcli.ranges import Noise, Positive

if TYPE_CHECKING:
    from idmcli.io.items import Item
    from idmcli.measuring import Measurement


@dataclass(frozen=True)
class ImportOptions:
    """The options of ``idm import`` that all sorts of data have; each importer adds its own.

    Fields that are None are not set: they follow from the file, or have a default that the field's comment names.
    """

    noise: Noise | None = (
        None  # standard deviation of every real number, in the data's own unit; not set: estimated, or 0
    )
    gain: Positive | None = None  # the value of white, in the data's own unit; not set: estimated


Content = TypeVar("Content")
Options = TypeVar("Options", bound=ImportOptions)


@dataclass(frozen=True)
class Facts:
    """The facts that ``idm info`` shows of raw data, before anything is computed.

    Attributes:
        known: name to value, JSON-able: matrix, coils, views, acceleration, ...
        missing: what the file does not say, each with the option that gives it, "the angles (--angles)" for example.
    """

    known: Mapping[str, Any]
    missing: tuple[str, ...] = ()


@dataclass
class Assumptions:
    """The decisions of one import, in the order they were taken: order, centre, crop, axis, scale, noise.

    They are shown to the user and kept with the measurement.
    """

    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Add one, a short phrase such as "noise 1.2e-5, from the noise scan"."""
        self.texts.append(text)


class Importer(ABC, Generic[Content, Options]):
    """From one sort of raw data to a measurement. Its module imports PyTorch inside functions only.

    Attributes:
        noun: the data, in the plural, "k-space data" for example.
        content: the type of items of formats that it takes.
        options: the dataclass of its options, whose fields ``idm import`` sets.
        claimed_by: options of which one must be given for it to take such data; empty if it takes all of them.
    """

    noun: ClassVar[str]
    content: type[Any]
    options: type[Options]
    claimed_by: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def facts(self, content: Content) -> Facts:
        """The facts about raw data; nothing is computed."""

    def part(self, item: Item, options: Options) -> Item:
        """The part of a file that the options name, instead of ``FILE#N``; the item itself if they name none.

        Raises:
            InputError: the item names another one.
        """
        return item

    @abstractmethod
    def measure(self, content: Content, options: Options, item: Item, assumptions: Assumptions) -> Measurement:
        """The measurement.

        Args:
            content: the raw data.
            options: checked.
            item: the file, and which part of it.
            assumptions: gains one for each decision.

        Raises:
            InputError: something is missing, with the option that gives it, or does not fit.
        """

    def check(self, given: Mapping[str, Any]) -> Options:
        """The options, from the values that were given by name.

        Raises:
            InputError: an option is for other data, or its value is out of range.
        """
        known = {each.name for each in fields(self.options)}
        values = {}
        for name, value in given.items():
            flag = f"--{name.replace('_', '-')}"
            if name not in known:
                raise InputError(f"{flag} is not for {self.noun}", f"leave out {flag}")
            values[name], problem = check_value(self.options, name, value)
            if problem:
                raise InputError(f"{flag}: {problem}", "correct it")
        return self.options(**values)
