"""Random crops of pictures, and the numbers that training draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.training.drawings import drawing

Pixels = NDArray[np.float32]
Purpose = Literal["crop", "noise", "operator"]


def generator(seed: int, purpose: Purpose, number: int) -> np.random.Generator:
    """Random numbers for one thing: they depend on these three alone, not on what was drawn before, or by whom."""
    key = (get_args(Purpose).index(purpose), number)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


@dataclass(frozen=True)
class CropPool:
    """Square crops under the eight flips and rotations.

    The crops of a run are numbered, and each depends on the run's seed and its number alone: it is the same in a
    resumed run, and in whichever process draws it.

    Attributes:
        images: (C, H, W) arrays of values in [0, 1], each at least ``side`` x ``side``; from memory or, as
            :class:`~idmcli.training.pictures.Pictures` has them, from files.
        side: side of a crop in pixels.
        drawn: share of the crops that are no crops but :func:`~idmcli.training.drawings.drawing`.
    """

    images: Sequence[Pixels]
    side: int
    drawn: float = 0.0

    def crops(self, seed: int, numbers: Sequence[int]) -> Tensor:
        """The crops with these numbers, (len(numbers), C, side, side), float32."""
        return torch.from_numpy(np.stack([self._crop(generator(seed, "crop", number)) for number in numbers]))

    def _crop(self, rng: np.random.Generator) -> NDArray[Any]:
        image = self.images[int(rng.integers(len(self.images)))]
        if self.drawn and rng.random() < self.drawn:
            return drawing(self.side, len(image), rng)
        top, left = (rng.integers(size - self.side + 1) for size in image.shape[1:])
        crop = image[:, top : top + self.side, left : left + self.side]
        crop = np.rot90(crop, int(rng.integers(4)), axes=(1, 2))
        return np.asarray(crop[:, :, ::-1] if rng.integers(2) else crop)

    def centre(self) -> Tensor:
        """The middle crop of every image, (N, C, side, side): a fixed set for validation."""
        crops = []
        for image in self.images:
            top, left = ((size - self.side) // 2 for size in image.shape[1:])
            crops.append(image[:, top : top + self.side, left : left + self.side])
        return torch.from_numpy(np.stack(crops))


@dataclass(frozen=True)
class Selection(Sequence[Pixels]):
    """Some images of a sequence."""

    images: Sequence[Pixels]
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.images[self.indices[index]]


def split_validation(images: Sequence[Pixels], held_out: int = 8) -> tuple[Sequence[Pixels], Sequence[Pixels]]:
    """Training and validation images: every k-th is held out, at most ``held_out`` and at most a tenth.

    With fewer than ten images all serve both ends.
    """
    count = min(held_out, len(images) // 10)
    if count == 0:
        return images, images
    chosen = sorted(set(np.linspace(0, len(images) - 1, count).astype(int).tolist()))
    rest = sorted(set(range(len(images))).difference(chosen))
    return Selection(images, rest), Selection(images, chosen)
