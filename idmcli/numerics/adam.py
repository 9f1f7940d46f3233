"""Adam (Kingma & Ba, 2015) for one tensor. PyTorch's own loads its compiler first, which takes seconds."""

from __future__ import annotations

import torch
from torch import Tensor


class Adam:
    """Steps of Adam, as PyTorch takes them.

    Args:
        x: the tensor, real or complex, which the steps write to.
        rate: learning rate.
        betas: how much of the means of gradients and of their squares each step keeps.
        eps: added to the root of the mean square.

    Example:
        >>> x = torch.tensor([1.0, -1.0])
        >>> Adam(x, 0.5).step(2 * x)
        >>> x
        tensor([ 0.5000, -0.5000])
    """

    def __init__(self, x: Tensor, rate: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        self._x, self._rate, self._betas, self._eps = _real(x), rate, betas, eps
        self._mean, self._square = torch.zeros_like(self._x), torch.zeros_like(self._x)
        self._steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Change the tensor by its gradient."""
        g, (first, second) = _real(gradient), self._betas
        self._steps += 1
        self._mean.lerp_(g, 1 - first)
        self._square.mul_(second).addcmul_(g, g, value=1 - second)
        root = (self._square.sqrt() / (1 - second**self._steps) ** 0.5).add_(self._eps)
        self._x.addcdiv_(self._mean, root, value=-self._rate / (1 - first**self._steps))


def _real(x: Tensor) -> Tensor:
    """Real and imaginary parts of a complex tensor, as a view."""
    return torch.view_as_real(x) if x.is_complex() else x
