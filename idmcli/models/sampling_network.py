"""Networks that learn their own sampling: RK-CCSNet, CSNet+, and both made reversible and with injectors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.block_sampling import BlockSampling
from idmcli.models.injector import Context, Injection, Injector
from idmcli.models.network import Network
from idmcli.operators.learned import LearnedSampling
from idmcli.operators.linear import LinearOperator
from idmcli.reversible.chain import Chain
from idmcli.reversible.coupling import ReversibleGroup
from idmcli.reversible.explicit import Explicit
from idmcli.reversible.plan import Plan

CHANNELS = 64  # of the features
SAME = 1e-5  # of the largest entry: how far a matrix may be from the network's own


@dataclass(frozen=True)
class SamplingConfig:
    """Shape of a :class:`SamplingNetwork`.

    Attributes:
        ratio: measurements per pixel.
        reversible: whether the blocks are coupled on two streams, and their inside follows by inversion.
        injectors: whether the measurements enter after each block too (Chen et al., TPAMI 2025, Eqs. 6 and 7).
        v: initial mixing weight of the couplings.
    """

    ratio: float = 0.5
    reversible: bool = False
    injectors: bool = False
    v: float = 0.5


class SamplingNetwork(Network):
    """A learned sampling, the first image that is linear in its measurements, and a deep part that refines it.

    The deep part is a run of blocks at full resolution between a head and a tail. Images are of one channel; of
    several, each is measured and reconstructed on its own.

    Args:
        config: of the network.
        sampling: A, and what takes the place of A+.
        blocks: of the deep part, each called as ``block(x, context)``.
    """

    config: SamplingConfig

    def __init__(self, config: SamplingConfig, sampling: BlockSampling, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.config, self.sampling = config, sampling
        modules = list(blocks)
        if config.injectors:
            modules = list(chain.from_iterable((block, Injector(CHANNELS, 1, 1)) for block in blocks))
        self.blocks = ReversibleGroup(modules, config.v) if config.reversible else Chain(modules)

    @abstractmethod
    def refine(self, image: Tensor, blocks: Callable[[Tensor], Tensor]) -> Tensor:
        """The image that the deep part adds to the first image, (B, 1, H, W).

        Args:
            image: the first image.
            blocks: the run of blocks, (B, 64, H, W) to the same.
        """

    def measure(self, x: Tensor) -> Tensor:
        """y of images (B, C, H, W) whose sides are multiples of the block's: (B, C, blocks, M), with a gradient for the
        sampling."""
        y = self.sampling.measure(x.flatten(0, 1)[:, None])
        return y.view(*x.shape[:2], *y.shape[1:])

    def images(self, y: Tensor, size: tuple[int, int], plan: Plan | None = None) -> tuple[Tensor, Tensor]:
        """The first image and the last, (B, C, H, W) each, not clipped.

        Args:
            y: measurements, (B, C, blocks, M).
            size: (H, W), multiples of the block's side.
            plan: one step, which says what the blocks keep for the backward pass; everything if None.
        """
        first = self.sampling.first_image(y.flatten(0, 1), size)
        memory = "plain" if plan is None else plan[0].network
        projection = cast(Callable[[Tensor], Tensor], Explicit.of(self.sampling))  # mypy takes it for a mere tuple
        context = Context(Injection(0, first, projection) if self.config.injectors else None)
        refined = self.refine(first, lambda features: self.blocks(features, context, memory)[0])
        first, last = (image.view(*y.shape[:2], *size) for image in (first, first + refined))
        return first, last

    def forward(self, y: Tensor, operator: LinearOperator, plan: Plan | None = None, noise: float = 0.0) -> Tensor:
        self.check(operator)
        height, width = operator.padded_shape[1:]
        return operator.crop(self.images(y, (height, width), plan)[1])

    def operator(self, image_shape: tuple[int, int, int]) -> LearnedSampling:
        """The sampling as an operator on images (C, H, W) of any size."""
        return LearnedSampling(self.sampling.matrix(), image_shape, self.sampling.block)

    def check(self, operator: LinearOperator) -> None:
        """Raise InputError unless an operator is the network's own sampling."""
        if isinstance(operator, LearnedSampling) and self._is_own(operator):
            return
        raise InputError(
            f"this {self.kind} needs measurements by its own sampling, not by this {operator.kind} operator",
            "measure with it: `idm sense --weights FILE`",
        )

    def _is_own(self, operator: LearnedSampling) -> bool:
        own = self.operator(operator.image_shape)
        mine, theirs = own.values, operator.values.to(own.values)
        if operator.measurement_shape != own.measurement_shape or mine.shape != theirs.shape:
            return False
        return torch.allclose(mine, theirs, rtol=0, atol=SAME * float(mine.abs().max()))


def silent(layer: nn.Conv2d) -> nn.Conv2d:
    """A last layer that starts at zero: the untrained network gives the first image."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
