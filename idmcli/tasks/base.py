"""The interface of a task: something to measure, with its options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from idmcli.ranges import Noise, Seed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from idmcli.operators import Operator

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class OperatorOptions:
    """[operator], what every task has; each task adds its own."""

    seed: Seed = 0  # seed of everything random in the measurement
    noise: Noise = 0.0  # standard deviation of the noise that is added to y, for images in 0..1


Options = TypeVar("Options", bound=OperatorOptions)


class Amount(NamedTuple):
    """How much was measured.

    Attributes:
        ratio: the fraction that the task counts by (pixels, k-space points, ...).
        text: the same for people, "20.2 % of k-space" for example.
    """

    ratio: float
    text: str


class Seen(NamedTuple):
    """Measurements as people look at them.

    Attributes:
        label: what they are, in a word or two.
        picture: (1, C, H, W), real or complex; 0 is black, 1 is white.
    """

    label: str
    picture: Tensor


def seen_through_inverse(operator: Operator, y: Tensor) -> Seen:
    """``A+ y``, or a rough inverse where the operator is not linear."""
    from idmcli.operators import LinearOperator

    if isinstance(operator, LinearOperator):
        return Seen("A+ y", operator.pinv(y))
    return Seen("rough inverse", operator.rough_inverse(y))


class Task(ABC, Generic[Options]):
    """A kind of measurement. Its module imports PyTorch inside functions only, so that options load without it.

    Attributes:
        kind: the name, as in ``task.kind``.
        summary: one line for the user.
        options: the dataclass behind [operator].
        channels: how many channels it can measure.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    options: type[Options]
    channels: ClassVar[tuple[int, ...]] = (1, 3)

    @property
    def preset(self) -> str:
        """The preset of its name."""
        return self.kind.replace("_", "-")

    @abstractmethod
    def operator_type(self) -> type[Operator]:
        """The class of its operators."""

    @abstractmethod
    def operator(self, options: Options, image_shape: Shape, item: str) -> Operator:
        """The operator for an image.

        Args:
            options: of [operator].
            image_shape: (C, H, W).
            item: name of the image, from which, with the seed, comes what differs between images.

        Raises:
            InputError: it cannot be built, or does not fit the image.
        """

    @abstractmethod
    def amount(self, operator: Any) -> Amount:
        """How much an operator of this task measures."""

    def seen(self, operator: Any, y: Tensor) -> Seen:
        """The measurements of an operator of this task as an image to look at; y has a batch dimension of 1."""
        return seen_through_inverse(operator, y)

    def setting(self, options: Options) -> str:
        """The setting that pictures of all sizes share, "60 views" for example; empty where the ratio is one."""
        return ""

    def disturb(self, y: Tensor, options: Options, seed: int) -> tuple[Tensor, float]:
        """Measurements with the noise that the options ask for, and its standard deviation."""
        from idmcli.operators import add_noise

        return (add_noise(y, options.noise, seed) if options.noise else y), options.noise

    def ratio(self, options: Options) -> float | None:
        """The ratio that the options ask for; None where something else decides (views, a file, boxes, lines)."""
        return None

    def nearer(self, options: Options, image_shape: Shape) -> str:
        """The option with which an image is measured nearly at the ratio that is asked for, for people; or nothing."""
        return ""

    def doubts(self, options: Options, operator: Any, item: str) -> list[str]:
        """Doubts about a measurement: assumptions, and settings that may not be meant.

        Args:
            options: of [operator].
            operator: that was made of them for an image.
            item: name of the image.
        """
        return []

    def conflicts(self, options: Options) -> Sequence[tuple[tuple[str, ...], str]]:
        """Keys of [operator] that are valid alone but not together: (keys, what is expected of them)."""
        return ()

    def vary(self, options: Options, rng: np.random.Generator) -> Options:
        """The options of one training batch: what training varies is drawn, all else as given."""
        return options

    def largest(self, options: Options) -> Options:
        """The options that measure most among those that :meth:`vary` may draw: memory has to suffice for them."""
        return options

    def one_size(self, options: Options) -> bool:
        """Whether the operator fits images of one size only (a mask from a file, boxes)."""
        return False

    def validation(self, options: Options) -> Sequence[Options]:
        """The options at which training is validated."""
        return (options,)

    def identity(self, operator: Any) -> Mapping[str, Any]:
        """What, beside the task, a network trained end to end is bound to; JSON-able."""
        return {}
