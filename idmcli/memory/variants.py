"""The cost of training the four variants of a network that learns its own sampling (Chen et al., Table 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from idmcli.memory.estimate import plan_of
from idmcli.memory.report import Fit, largest
from idmcli.memory.step import ComputedStep, StepMemory
from idmcli.reversible.plan import Plan

if TYPE_CHECKING:
    from idmcli.config import Config

Done = Callable[[], None]
VARIANTS = {
    (False, False): "plain",
    (True, False): "reversible",
    (False, True): "injectors",
    (True, True): "reversible, injectors",
}


@dataclass(frozen=True)
class Variant:
    """A training step of one variant.

    Attributes:
        reversible, injectors: the switches of [model].
        memory: computed.
        fitting: the largest batch within the figure that was published, and its peak; None where none was.
    """

    reversible: bool
    injectors: bool
    memory: StepMemory
    fitting: Fit | None = None

    @property
    def name(self) -> str:
        """The name in tables."""
        return VARIANTS[self.reversible, self.injectors]

    def record(self) -> dict[str, Any]:
        """The variant in JSON's types."""
        memory = self.memory
        switches = {"reversible": self.reversible, "injectors": self.injectors}
        sizes = {**asdict(memory), "step": memory.step, "peak": memory.peak}
        return {"variant": self.name, **switches, **sizes, "fitting": self.fitting and asdict(self.fitting)}


def variants(config: Config, published: Callable[[bool, bool], int | None], done: Done = lambda: None) -> list[Variant]:
    """The four variants at the batch and the crop of [training].

    Args:
        config: of one of them.
        published: the bytes that were published for (reversible, injectors), or None.
        done: called after each.
    """
    found = []
    for (reversible, injectors), computed, plan in _each(config):
        figure = published(reversible, injectors)
        fitting = None if figure is None else _fit(VARIANTS[reversible, injectors], computed, plan, figure)
        found.append(Variant(reversible, injectors, computed.memory(plan), fitting))
        done()
    return found


def fits(config: Config, budget: int, done: Done = lambda: None) -> list[Fit]:
    """The largest batch of each variant within a budget in bytes; 0 where not even one crop fits."""
    found = []
    for switches, computed, plan in _each(config):
        found.append(_fit(VARIANTS[switches], computed, plan, budget))
        done()
    return found


def _fit(name: str, computed: ComputedStep, plan: Plan | None, budget: int) -> Fit:
    batch, peak = largest(budget, lambda count: computed.memory(plan, count).peak)
    return Fit(name, batch, peak)


def _each(config: Config) -> Iterator[tuple[tuple[bool, bool], ComputedStep, Plan | None]]:
    """Each variant with what computes it and the plan that it trains with."""
    for reversible, injectors in VARIANTS:
        model = replace(config.model, reversible=reversible, injectors=injectors)
        changed = replace(config, model=model)
        yield (reversible, injectors), ComputedStep(changed), plan_of(changed)
