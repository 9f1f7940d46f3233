"""Linear operators made of others: products, sums, multiples, adjoints and stacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, reduce
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Self, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.numerics.conjugate_gradient import Solution
from idmcli.operators.base import Spec
from idmcli.operators.checks import is_number, shown
from idmcli.operators.linear import Gram, LinearOperator, Spectrum
from idmcli.operators.registry import build_operator
from idmcli.operators.spec import Specification
from idmcli.operators.stored import check_arrays


class CompositeSpecification(Specification):
    """The parts are specifications themselves. The arrays of part n are called ``n.NAME``."""

    image_shape: list[Any]  # type: ignore[assignment]  # the images of an adjoint may have other than 3 dimensions
    parts: list[dict[str, Any]]


class AdjointSpecification(CompositeSpecification):
    """There is one part."""

    parts: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1)]


class Composite(LinearOperator):
    """A linear operator made of others, its parts. It can be written to a file if they can.

    A subclass sets the shapes, and whether numbers are complex, from its parts.

    Attributes:
        parts: the operators that it is made of.

    Args:
        parts: one or more linear operators.

    Raises:
        InputError: there is none, or one is not linear.
    """

    parts: Sequence[LinearOperator]

    def __init__(self, *parts: LinearOperator) -> None:
        super().__init__()
        others: list[object] = [part for part in parts if not isinstance(part, LinearOperator)]
        for other in others:
            kind = getattr(other, "kind", type(other).__name__)
            raise InputError(f"{kind} is no linear operator", f"a {self.kind} is made of linear operators")
        if not parts:
            raise InputError(f"a {self.kind} of no operators measures nothing", "give one or more operators")
        self.parts = nn.ModuleList(parts)  # type: ignore[assignment]  # so that a copy copies them

    def arrays(self) -> Mapping[str, Tensor]:
        return {f"{n}.{name}": array for n, part in enumerate(self.parts) for name, array in part.arrays().items()}

    def to_spec(self) -> Spec:
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "parts": [part.to_spec() for part in self.parts],
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        return cls._rebuilt(CompositeSpecification.read(spec), arrays, cls)

    @classmethod
    def _rebuilt(cls, read: CompositeSpecification, arrays: Mapping[str, Tensor], make: Callable[..., Self]) -> Self:
        """The operator that ``make`` makes of the parts. It must take images of the specification's shape."""
        belonging: list[dict[str, str]] = [
            {name.removeprefix(f"{n}."): name for name in arrays if name.startswith(f"{n}.")}
            for n in range(len(read.parts))
        ]
        check_arrays(read.kind, arrays, [name for names in belonging for name in names.values()])
        parts = [
            build_operator(part, {own: arrays[name] for own, name in names.items()})
            for part, names in zip(read.parts, belonging, strict=True)
        ]
        made = make(*parts)
        if list(made.image_shape) != read.image_shape:
            raise InputError(
                f"the image shape of the {read.kind} specification is {shown(read.image_shape)}, and its parts take "
                f"{list(made.image_shape)}",
                "correct the specification",
            )
        return made


class Product(Composite):
    """``A @ B @ ...``: an image is measured by the last operator, its measurement by the one before, and so on.

    Args:
        parts: the measurements of each one are the images of the one before it.

    Raises:
        InputError: two neighbours do not fit.

    Example:
        >>> from idmcli.operators import Blur, Inpainting
        >>> blur = Blur((1, 4, 4), torch.ones(3, 3))
        >>> seen = Inpainting((1, 4, 4), torch.eye(4)) @ blur
        >>> seen.A(torch.ones(1, 1, 4, 4))
        tensor([[[1., 1., 1., 1.]]])
    """

    def __init__(self, *parts: LinearOperator) -> None:
        super().__init__(*_flattened(Product, parts))
        for outer, inner in pairwise(self.parts):
            if _images(outer) != _measurements(inner):
                raise InputError(
                    f"the {inner.kind} operator gives {_measurements(inner)}, and the {outer.kind} operator takes "
                    f"{_images(outer)}",
                    "in A @ B the measurements of B must be images of A",
                )
        first, last = self.parts[0], self.parts[-1]
        self.measurement_shape, self.complex_measurements = first.measurement_shape, first.complex_measurements
        self.image_shape, self.complex_image = last.image_shape, last.complex_image

    def A(self, x: Tensor) -> Tensor:
        return reduce(lambda x, part: part.A(x), reversed(list(self.parts)), x)

    def AT(self, y: Tensor) -> Tensor:
        return reduce(lambda y, part: part.AT(y), self.parts, y)


class Sum(Composite):
    """``A + B + ...``: the sum of measurements of the same shape.

    Args:
        parts: operators with the same images and measurements.

    Raises:
        InputError: their images or measurements differ.

    Example:
        >>> from idmcli.operators import Inpainting
        >>> left, right = (Inpainting((1, 1, 4), torch.tensor([mask])) for mask in ([1, 1, 0, 0], [0, 0, 1, 1]))
        >>> (left - right).A(torch.tensor([[[[5.0, 6.0, 1.0, 2.0]]]]))
        tensor([[[4., 4.]]])
    """

    def __init__(self, *parts: LinearOperator) -> None:
        super().__init__(*_flattened(Sum, parts))
        _check_alike(self, _images)
        _check_alike(self, _measurements)
        first = self.parts[0]
        self.measurement_shape, self.complex_measurements = first.measurement_shape, first.complex_measurements
        self.image_shape, self.complex_image = first.image_shape, first.complex_image

    def A(self, x: Tensor) -> Tensor:
        return reduce(torch.add, (part.A(x) for part in self.parts))

    def AT(self, y: Tensor) -> Tensor:
        return reduce(torch.add, (part.AT(y) for part in self.parts))


class Stack(Composite):
    """The measurements of one image by several operators, as one vector: flattened, and one after the other.

    Args:
        parts: operators with the same images, whose measurements are all real or all complex.

    Raises:
        InputError: their images differ, or only some measurements are complex.

    Example:
        >>> from idmcli.operators import Inpainting, SuperResolution
        >>> both = Stack(SuperResolution((1, 4, 6), 2, filter="average"), Inpainting((1, 4, 6), torch.eye(4, 6)))
        >>> both.measurement_shape
        (10,)
    """

    def __init__(self, *parts: LinearOperator) -> None:
        super().__init__(*parts)
        _check_alike(self, _images)
        _check_alike(self, lambda part: "complex measurements" if part.complex_measurements else "real measurements")
        first = self.parts[0]
        self._sizes = [prod(part.measurement_shape) for part in self.parts]
        self.measurement_shape, self.complex_measurements = (sum(self._sizes),), first.complex_measurements
        self.image_shape, self.complex_image = first.image_shape, first.complex_image

    def A(self, x: Tensor) -> Tensor:
        return torch.cat([part.A(x).flatten(1) for part in self.parts], 1)

    def AT(self, y: Tensor) -> Tensor:
        return reduce(torch.add, (part.AT(own) for part, own in zip(self.parts, self.split(y), strict=True)))

    def split(self, y: Tensor) -> list[Tensor]:
        """The measurements of each part, in its own shape."""
        return [
            own.reshape(len(y), *part.measurement_shape)
            for part, own in zip(self.parts, torch.split(y, self._sizes, 1), strict=True)
        ]


def stack(parts: Iterable[LinearOperator]) -> Stack:
    """The operator that measures the same image by each of several operators, see :class:`Stack`.

    >>> import torch, idmcli
    >>> blur = idmcli.operators.Blur((1, 8, 8), torch.ones(3, 1))
    >>> idmcli.stack([blur, 0.5 * blur]).measurement_shape
    (128,)

    Raises:
        InputError: no operators are given, or their images differ.
    """
    return Stack(*parts)


class ScaledSpecification(AdjointSpecification):
    """A multiple of its one part."""

    factor: float


class Scaled(Composite):
    """``c A``. It has in closed form whatever A has.

    Args:
        factor: c, a real number other than 0.
        part: A. If A is a multiple of another operator, the result is a multiple of that operator too.

    Raises:
        InputError: the factor is 0 or not finite.

    Example:
        >>> from idmcli.operators import Inpainting
        >>> operator = -3 * Inpainting((1, 1, 3), torch.tensor([[1, 0, 1]]))
        >>> operator.A(torch.tensor([[[[1.0, 2.0, 3.0]]]]))
        tensor([[[-3., -9.]]])
        >>> operator.solve(torch.tensor([[[-3.0, -9.0]]])).x
        tensor([[[[1., 0., 3.]]]])
    """

    factor: float

    def __init__(self, factor: float, part: LinearOperator) -> None:
        if not is_number(factor) or not math.isfinite(factor) or factor == 0:
            raise InputError(f"the factor of an operator is {shown(factor)}", "it must be a real number other than 0")
        if isinstance(part, Scaled):
            factor, part = factor * part.factor, part.part
        super().__init__(part)
        self.factor = float(factor)
        self.measurement_shape, self.complex_measurements = part.measurement_shape, part.complex_measurements
        self.image_shape, self.complex_image = part.image_shape, part.complex_image

    @property
    def part(self) -> LinearOperator:
        """A."""
        return self.parts[0]

    @property
    def tight(self) -> bool:  # type: ignore[override]
        return abs(self.factor) == 1 and self.part.tight

    @property
    def mixing(self) -> bool:  # type: ignore[override]
        return self.part.mixing

    def A(self, x: Tensor) -> Tensor:
        return self.factor * self.part.A(x)

    def AT(self, y: Tensor) -> Tensor:
        return self.factor * self.part.AT(y)

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        return self.part.padded_shape

    def padded(self) -> LinearOperator:
        return self if self.part.padded() is self.part else self._on_padded_images

    @cached_property
    def _on_padded_images(self) -> LinearOperator:
        return Scaled(self.factor, self.part.padded())

    def solve(self, y: Tensor, **options: Any) -> Solution:
        self.check_measurements(y)
        return self.part.solve(y / self.factor, **options)

    def prox(self, z: Tensor, y: Tensor, rho: Tensor | float, *, max_iterations: int = 10) -> Tensor:
        return self.part.prox(z, y / self.factor, rho * self.factor**2, max_iterations=max_iterations)

    def spectrum(self) -> Spectrum | None:
        found, sign = self.part.spectrum(), math.copysign(1, self.factor)
        if found is None:
            return None
        return found._replace(values=abs(self.factor) * found.values, to_range=lambda y: sign * found.to_range(y))

    def squared_norm(self, y: Tensor) -> float:
        return self.factor**2 * self.part.squared_norm(y)

    def gram(self, y: Tensor) -> Gram:
        found = self.part.gram(y)
        return found._replace(values=self.factor**2 * found.values)

    def to_spec(self) -> Spec:
        return {**super().to_spec(), "factor": self.factor}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = ScaledSpecification.read(spec)
        return cls._rebuilt(read, arrays, lambda *parts: cls(read.factor, *parts))


class Adjoint(Composite):
    """``A.H``, whose ``A`` is ``A.AT`` and the other way round.

    Its images are the measurements of A. Methods that reconstruct take images (C, H, W), and so only the adjoints of
    operators whose measurements have such a shape.

    Args:
        part: A.

    Example:
        >>> from idmcli.operators import SuperResolution
        >>> down = SuperResolution((1, 4, 4), 2, filter="average")
        >>> down.H.A(torch.ones(1, 1, 2, 2))[0, 0, 0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
        >>> down.H.H is down
        True
    """

    def __init__(self, part: LinearOperator) -> None:
        super().__init__(part)
        self.image_shape, self.complex_image = cast(Any, part.measurement_shape), part.complex_measurements
        self.measurement_shape, self.complex_measurements = part.image_shape, part.complex_image

    @property
    def tight(self) -> bool:  # type: ignore[override]
        return self.parts[0].tight

    @property
    def H(self) -> LinearOperator:
        return self.parts[0]

    def A(self, x: Tensor) -> Tensor:
        return self.parts[0].AT(x)

    def AT(self, y: Tensor) -> Tensor:
        return self.parts[0].A(y)

    def squared_norm(self, y: Tensor) -> float:
        return self.parts[0].squared_norm(self.parts[0].A(y))

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        return cls._rebuilt(AdjointSpecification.read(spec), arrays, cls)


def _flattened(kind: type[Composite], parts: Iterable[LinearOperator]) -> list[LinearOperator]:
    """The parts, where a part of the same kind gives its own parts instead."""
    return [own for part in parts for own in (part.parts if isinstance(part, kind) else [part])]


def _images(part: LinearOperator) -> str:
    return _numbers(part.image_shape, part.complex_image)


def _measurements(part: LinearOperator) -> str:
    return _numbers(part.measurement_shape, part.complex_measurements)


def _numbers(shape: Sequence[int], is_complex: bool) -> str:
    return f"{'complex' if is_complex else 'real'} numbers of shape {tuple(shape)}"


def _check_alike(whole: Composite, what: Callable[[LinearOperator], str]) -> None:
    for one, other in pairwise(whole.parts):
        if what(one) != what(other):
            raise InputError(
                f"the parts of a {whole.kind} differ: the {one.kind} operator has {what(one)}, and the {other.kind} "
                f"operator {what(other)}",
                "use operators that fit together",
            )
