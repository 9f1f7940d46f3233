"""The contract of a linear operator: y = A x with the adjoint of A, and what follows from the two."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from idmcli.numerics.conjugate_gradient import Solution, conjugate_gradient
from idmcli.numerics.linear_map import linear_map
from idmcli.numerics.power_iteration import largest_eigenvalue
from idmcli.operators.base import Operator, limited
from idmcli.operators.checks import is_number
from idmcli.operators.linearisation import Linearisation

IMAGE_POWER = 0.06  # variance of centred images in [0, 1]


class Spectrum(NamedTuple):
    """The singular value decomposition ``A = U S V^T`` of a linear operator, in closed form.

    Singular values too small for single precision are left out, and their coordinates are not measured.
    There are G groups of coordinates: one for each channel, or one for all of them.

    Attributes:
        values: S, (G, M').
        to_range: ``U^T``, measurements (B, \\*measurement_shape) to coordinates (B, G, M').
        to_basis: ``V^T``, images (B, C, H, W) to coordinates (B, G, N'): first those that S measures, then the others.
            ``V V^T = I``.
        from_basis: ``V``, coordinates to images. The others may be left out; they count as zero then.

    Example:
        >>> import torch
        >>> from idmcli.operators import Inpainting
        >>> operator = Inpainting((1, 2, 2), torch.tensor([[1, 0], [0, 1]]))
        >>> operator.spectrum().to_basis(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        tensor([[[1., 4., 2., 3.]]])
    """

    values: Tensor
    to_range: Callable[[Tensor], Tensor]
    to_basis: Callable[[Tensor], Tensor]
    from_basis: Callable[[Tensor], Tensor]


class Parted(NamedTuple):
    """Measurements in two parts, by which guesses can be tested.

    Attributes:
        operator: of the same image, with those that are kept: ``operator.A(x)`` is ``A(x)[kept]``.
        kept: an index of y, (B, \\*measurement_shape).
        held: the index of those that are held out.
        typical: whether these are like what was never measured. Who foretells them can then foretell the rest.
    """

    operator: LinearOperator
    kept: tuple[Any, ...]
    held: tuple[Any, ...]
    typical: bool


class Gram(NamedTuple):
    """A map ``U g U^T`` of measurements with an orthogonal U that is near ``A A^T``: what preconditions a solver.

    Attributes:
        values: g > 0, the gains: one, or of the shape that ``to`` gives.
        to: ``U^T``.
        back: ``U``.

    Example:
        >>> import torch
        >>> gram = Gram(torch.tensor([1.0, 3.0]), lambda y: y, lambda y: y)
        >>> gram.power_gain, gram.scaled(1 / gram.values, torch.tensor([5.0, 6.0]))
        (2.0, tensor([5., 2.]))
    """

    values: Tensor
    to: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    @property
    def power_gain(self) -> float:
        """The mean of g, about the mean square of a measurement of white images of unit variance; 1 if A is tight."""
        return float(self.values.mean())

    def scaled(self, factors: Tensor, y: Tensor) -> Tensor:
        """``U f U^T y``."""
        return self.back(factors * self.to(y))


class LinearOperator(Operator):
    """A linear map with its adjoint. Pseudo-inverse, regularised inverse and derivatives follow from the two.

    A subclass defines only the two shapes, :meth:`A` and :meth:`AT`. For complex spaces the inner product is
    ``Re <a, b>``, so that a real image under a complex transform has the adjoint ``Re A^H``.

    Operators combine: ``A @ B`` measures by B and then by A, and there are ``A + B``, ``A - B``, ``2 * A``, ``-A``,
    ``A.H`` and :func:`~idmcli.operators.algebra.stack`.

    Attributes:
        tight: whether ``A A^T = I`` on the range of A, so that ``A+ = A^T`` exactly.
        mixing: whether every measurement mixes pixels from all over the padded image at random, so that the
            error of ``A^T y`` looks like white noise, which message passing relies on.

    Example:
        >>> import torch
        >>> class RowSums(LinearOperator):
        ...     image_shape = (1, 3, 4)
        ...     measurement_shape = (3,)
        ...
        ...     def A(self, x):
        ...         return x.sum((1, 3))
        ...
        ...     def AT(self, y):
        ...         return y[:, None, :, None].expand(-1, 1, 3, 4)
        >>> operator = RowSums()
        >>> operator.kind, operator.tight
        ('rowsums', False)
        >>> operator.pinv(torch.tensor([[4.0, 8.0, 12.0]]))[0, 0]
        tensor([[1., 1., 1., 1.],
                [2., 2., 2., 2.],
                [3., 3., 3., 3.]])
        >>> (2 * operator).A(torch.ones(1, 1, 3, 4))
        tensor([[8., 8., 8.]])
    """

    __array_ufunc__ = None  # numpy numbers leave `number * operator` to the operator

    tight: bool = False
    mixing: bool = False

    @abstractmethod
    def AT(self, y: Tensor) -> Tensor:
        """The exact adjoint of :meth:`A`: (B, \\*measurement_shape) to (B, \\*image_shape)."""

    def rough_inverse(self, y: Tensor) -> Tensor:
        """``A^T y / |A|^2``."""
        return self.AT(y) / self.squared_norm(y)

    def linearised(self, x: Tensor) -> Linearisation:
        return Linearisation(self.A(x), self.A, self.AT)

    def padded(self) -> LinearOperator:
        """The same measurements as an operator on padded images: ``padded().A(pad(x)) == A(x)``."""
        return self

    def hold_out(self, share: float) -> Parted | None:
        """The measurements in two parts, the same every time; None if there are too few, or all of them are needed.

        Args:
            share: about how many are held out, of those that are not always needed.
        """
        return None

    def normal(self, x: Tensor) -> Tensor:
        """``A^T A x``."""
        return self.AT(self.A(x))

    def solve(
        self,
        y: Tensor,
        *,
        tolerance: float = 1e-5,
        max_iterations: int = 200,
        progress: Callable[[int, int], None] = lambda done, most: None,
    ) -> Solution:
        """The minimum-norm least-squares image ``A+ y``, with the status of the solver.

        A closed form gives it where there is one, and the options are not used then: ``A^T y`` if A is tight,
        ``V S^-1 U^T y`` if its spectrum is known. Otherwise conjugate gradients solve ``A^T A x = A^T y``.
        The derivative is the exact one of A+, ``(A+)^T x = (A A^T)+ A x``, from conjugate gradients too.

        Args:
            y: measurements (B, \\*measurement_shape).
            tolerance: of the relative residual.
            max_iterations: of conjugate gradients.
            progress: told the iterations done, and how many there are at most.

        Returns:
            the image (B, \\*image_shape), the iterations, the residual, and whether it reached the tolerance.

        Raises:
            InputError: y does not fit the operator.
        """
        if self.tight:
            return Solution(self.AT(y), 0, 0.0, True)
        self.check_measurements(y)
        spectrum = self.spectrum()
        if spectrum is not None:
            coordinates = spectrum.to_range(y)
            return Solution(spectrum.from_basis(coordinates / spectrum.values.to(coordinates.real)), 0, 0.0, True)
        cg = partial(conjugate_gradient, tolerance=tolerance, max_iterations=max_iterations)
        solved: list[Solution] = []  # without x, which holds on to this very function where it has a gradient

        def invert(y: Tensor) -> Tensor:
            solution = cg(self.normal, self.AT(y), progress=progress)
            solved.append(solution._replace(x=y.new_empty(0)))
            return solution.x

        def invert_adjoint(x: Tensor) -> Tensor:
            return cg(lambda z: self.A(self.AT(z)), self.A(x)).x

        x = linear_map(y, invert, invert_adjoint)
        return solved[0]._replace(x=x)

    def pinv(self, y: Tensor) -> Tensor:
        """``A+ y``: :meth:`solve` without the status."""
        return self.solve(y).x

    def start(self, y: Tensor, noise: float = 0.0) -> Tensor:
        """An image that iterative methods start from.

        It is A+ y or, as that blows noise up where A is weak, ``argmin |x|^2 / power + |A x - y|^2 / noise^2``.

        Args:
            y: measurements (B, \\*measurement_shape) of centred images.
            noise: standard deviation of every measured number.

        Returns:
            images (B, \\*image_shape).
        """
        if noise == 0:
            return self.pinv(y)
        return self.prox(torch.zeros_like(self.AT(y)), y, IMAGE_POWER / noise**2)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Range-null-space projection ``x - A+ (A x - y)`` (Eq. 2): the nearest image with A x = y."""
        return x - self.pinv(self.A(x) - y)

    def prox(self, z: Tensor, y: Tensor, rho: Tensor | float, *, max_iterations: int = 10) -> Tensor:
        """The regularised inverse ``argmin_x |x - z|^2 + rho |A x - y|^2``.

        It is ``z + rho A^T (y - A z) / (1 + rho)`` for a tight operator and
        ``z + V rho S (U^T y - S V^T z) / (1 + rho S^2)`` where the spectrum is known, and for other operators as for
        those that are not linear. The arguments are the same.
        """
        rho = limited(rho)
        spectrum = None if self.tight else self.spectrum()
        if spectrum is not None:
            coordinates = spectrum.to_range(y)
            s = spectrum.values.to(coordinates.real)
            difference = coordinates - s * spectrum.to_basis(z)[..., : s.shape[1]]
            return z + spectrum.from_basis(rho * s * difference / (1 + rho * s**2))
        if self.tight:
            return z + rho * self.AT(y - self.A(z)) / (1 + rho)
        return super().prox(z, y, rho, max_iterations=max_iterations)

    def spectrum(self) -> Spectrum | None:
        """The singular value decomposition, where it is known in closed form."""
        return None

    def squared_norm(self, y: Tensor) -> float:
        """``|A|^2``: 1 if the padded operator is tight, otherwise from the spectrum, or by power iteration from below.

        Power iteration starts at ``A^T y``.
        """
        if self.padded().tight:
            return 1.0
        spectrum = self.spectrum()
        if spectrum is not None:
            return float(spectrum.values.max()) ** 2
        return largest_eigenvalue(self.normal, self.AT(y[:1]))

    def gram(self, y: Tensor) -> Gram:
        """``A A^T``, or a simple map near it: here ``|A|^2``. It computes where y is, and in its precision."""
        return Gram(y.real.new_tensor(self.squared_norm(y)), lambda y: y, lambda y: y)

    # The classes of combinations need this one, and so they are imported when they are used.

    def __matmul__(self, other: LinearOperator) -> LinearOperator:
        """``A @ B``: first B, then A."""
        from idmcli.operators.algebra import Product

        return Product(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __add__(self, other: LinearOperator) -> LinearOperator:
        """``A + B``, where both have the same images and measurements."""
        from idmcli.operators.algebra import Sum

        return Sum(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        """``A - B``."""
        return self + (-other) if isinstance(other, LinearOperator) else NotImplemented

    def __mul__(self, factor: float) -> LinearOperator:
        """``c A`` with a real number c other than 0."""
        from idmcli.operators.algebra import Scaled

        return Scaled(factor, self) if is_number(factor) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> LinearOperator:
        return -1 * self

    @property
    def H(self) -> LinearOperator:
        """The adjoint as an operator: ``A.H.A(y) == A.AT(y)``. Its images are the measurements of A."""
        from idmcli.operators.algebra import Adjoint

        return Adjoint(self)
