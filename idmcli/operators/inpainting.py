"""Inpainting: some pixels of the image are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.numerics.harmonic import harmonic_extension
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape, tensor_of
from idmcli.operators.linear import LinearOperator, Spectrum
from idmcli.operators.masks import PIXEL_MASKS, check_mask, make_mask
from idmcli.operators.spec import Specification
from idmcli.operators.spectra import completed
from idmcli.operators.stored import check_arrays, check_digest, digest


class InpaintingSpecification(Specification):
    """The mask is a description, or ``{"type": "given"}`` where it is among the arrays."""

    mask: dict[str, Any]
    mask_sha256: str | None = None


class Inpainting(LinearOperator):
    """``y``: the M kept pixels in row-major order, (batch, C, M); the channels share the mask.

    Args:
        image_shape: (C, H, W).
        mask: (H, W), 1 = kept; or its description, ``{"type": "random", "ratio": 0.5, "seed": 0}`` or
            ``{"type": "boxes", "boxes": [[top, left, height, width], ...]}`` (what the boxes cover is lost).

    Raises:
        InputError: the mask keeps nothing, is not binary, or does not fit the image.

    Example:
        >>> known = Inpainting((1, 2, 2), torch.tensor([[1, 0], [1, 1]]))
        >>> known.A(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        tensor([[[1., 3., 4.]]])
    """

    kind = "inpainting"
    tight = True
    mask: Tensor
    index: Tensor

    def __init__(self, image_shape: tuple[int, int, int], mask: Tensor | NDArray[Any] | Mapping[str, Any]) -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        if isinstance(mask, Mapping):
            self.description, kept = dict(mask), make_mask(mask, (height, width), PIXEL_MASKS)
        else:
            self.description, kept = {"type": "given"}, tensor_of(mask)
        self.register_buffer("mask", check_mask(kept, (height, width)), persistent=False)
        self.register_buffer("index", self.mask.flatten().nonzero().flatten(), persistent=False)
        self.measurement_shape = (channels, len(self.index))

    def A(self, x: Tensor) -> Tensor:
        return x.flatten(2).index_select(2, self.index)

    def AT(self, y: Tensor) -> Tensor:
        _, height, width = self.image_shape
        zeros = y.new_zeros(*y.shape[:2], height * width)
        return zeros.index_copy(2, self.index, y).view(*y.shape[:2], height, width)

    def start(self, y: Tensor, noise: float = 0.0) -> Tensor:
        """The known pixels with the smoothest surface between them: denoisers keep edges of holes."""
        return harmonic_extension(self.AT(y), self.mask)

    def spectrum(self) -> Spectrum:
        """``V^T`` lists the kept pixels, then the lost ones; S = 1."""
        channels, height, width = self.image_shape
        order = torch.cat([self.index, (~self.mask).flatten().nonzero().flatten()])
        back = order.argsort()
        return Spectrum(
            torch.ones(channels, len(self.index), device=order.device),
            lambda y: y,
            lambda x: x.flatten(2).index_select(2, order),
            lambda c: completed(c, height * width).index_select(2, back).view(-1, channels, height, width),
        )

    def arrays(self) -> Mapping[str, Tensor]:
        return {"mask": self.mask} if self.description["type"] == "given" else {}

    def to_spec(self) -> Spec:
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "mask": dict(self.description),
            "mask_sha256": digest(self.mask),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = InpaintingSpecification.read(spec)
        given = read.mask.get("type") == "given"
        check_arrays(read.kind, arrays, ["mask"] if given else [])
        operator = cls(read.image_shape, arrays["mask"] if given else read.mask)
        check_digest("mask", read.mask_sha256, operator.mask)
        return operator
