"""Changes of k-space from a scanner's convention to the operator's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.importing.base import Assumptions
from idmcli.importing.mri.coils import combined, virtual_coils, whitening
from idmcli.importing.mri.grid import calibration_box, cropped
from idmcli.importing.mri.noise import noise_of_margin
from idmcli.io.formats import KSpace
from idmcli.io.items import Item


@dataclass
class KSpaceData:
    """K-space on its way to the operator's convention.

    Attributes:
        samples: complex64, (coils, H, W), frequency zero at (H // 2, W // 2).
        calibration: the same, for coil maps; the samples themselves if nothing else was measured for that.
        sampled, calibrated: boolean, (H, W), where either was measured.
        mixing: (coils, coils of the file): the combinations of coils so far.
    """

    samples: Tensor
    calibration: Tensor
    sampled: NDArray[np.bool_]
    calibrated: NDArray[np.bool_]
    mixing: Tensor
    item: Item
    assumptions: Assumptions

    @classmethod
    def of(cls, content: KSpace, item: Item, assumptions: Assumptions) -> KSpaceData:
        """The data of one slice.

        Raises:
            InputError: they are not finite, or zeros alone.
        """
        if not np.isfinite(content.samples).all():
            raise InputError(f"{str(item)!r} holds NaN or infinity", "leave out the damaged readouts")
        if not content.samples.any():
            raise InputError(f"{str(item)!r} holds only zeros", "check the scan")
        samples = torch.from_numpy(content.samples.copy())
        rows, columns = (n // 2 for n in content.sampled.shape)
        assumptions.add(f"frequency zero at row {rows + 1}, column {columns + 1} of k-space, counted from 1")
        if content.calibration is None:
            calibration, calibrated = samples, content.sampled
        else:
            calibration, calibrated = torch.from_numpy(content.calibration), (content.calibration != 0).any(0)
        identity = torch.eye(len(samples), dtype=samples.dtype)
        return cls(samples, calibration, content.sampled, calibrated, identity, item, assumptions)

    @property
    def coils(self) -> int:
        """Their number, so far."""
        return len(self.samples)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W), so far."""
        return (self.samples.shape[1], self.samples.shape[2])

    @property
    def places(self) -> Tensor:
        """Where k-space was sampled, (H, W)."""
        return torch.from_numpy(self.sampled.copy())

    @property
    def centre(self) -> Tensor:
        """The calibration region, (coils, h, w); all of k-space if its centre was not sampled."""
        box = calibration_box(self.calibrated)
        return box.cut(self.calibration) if min(box) else self.calibration

    def mix(self, matrix: Tensor) -> None:
        """Combine the coils."""
        separate = self.calibration is not self.samples
        self.samples, self.mixing = combined(matrix, self.samples), matrix @ self.mixing
        self.calibration = combined(matrix, self.calibration) if separate else self.samples

    def decorrelate(self, noise: NDArray[np.complex64] | None, repeats: float) -> float | None:
        """Make the noise of the coils equal and independent.

        Args:
            noise: complex64, (coils of the file, N); None if there is none.
            repeats: how often each point of k-space was measured.

        Returns:
            the noise level, if there is a noise scan.

        Raises:
            InputError: the noise scan is too short.
        """
        if noise is None:
            return None
        try:
            matrix, level = whitening(combined(self.mixing, torch.from_numpy(noise)))
        except RuntimeError:
            raise InputError(
                "the noise scan has fewer independent samples than coils", "give another --noise-scan"
            ) from None
        self.mix(matrix)
        self.assumptions.add(f"noise of {self.coils} coils decorrelated by a noise scan of {noise.shape[1]} samples")
        return float(level / np.sqrt(repeats))

    def combine(self, count: int | None) -> None:
        """Combine the coils to fewer virtual ones; InputError if there are fewer than asked for."""
        before = self.coils
        if count is not None and count > before:
            raise InputError(f"--coils {count}: {str(self.item)!r} has {before}", "give fewer")
        matrix = virtual_coils(self.centre, count)
        if len(matrix) < before:
            self.mix(matrix)
            self.assumptions.add(f"{before} coils combined to {self.coils} virtual ones")

    def crop(self, content: KSpace) -> float | None:
        """Crop an oversampled readout to the field of view; the noise level of the margin, if there is one."""
        level, separate = None, self.calibration is not self.samples
        for axis, asked in enumerate(content.fov or self.shape):
            here, name = self.shape[axis], ("rows", "columns")[axis]
            if asked >= here:
                continue
            if axis != content.readout or not _whole_lines(content, axis):
                self.assumptions.add(f"all {here} {name} are kept; {asked} of them are the field of view in the file")
                continue
            lines = np.flatnonzero(self.sampled.any(axis))
            measured = self.samples.index_select(2 - axis, torch.from_numpy(lines))
            level = noise_of_margin(measured, axis + 1, asked)
            self.samples = cropped(self.samples, axis + 1, asked)
            self.calibration = cropped(self.calibration, axis + 1, asked) if separate else self.samples
            self.sampled, self.calibrated = (
                np.repeat(each.any(axis, keepdims=True), asked, axis) for each in (self.sampled, self.calibrated)
            )
            self.assumptions.add(f"oversampled readout: the middle {asked} of {here} {name} are kept")
        return level

    def pad(self, content: KSpace) -> None:
        """Take for zero what the scanner's image takes for zero."""
        padding = content.padding
        if padding is None:
            return
        if padding.shape != self.sampled.shape:  # cropped, along lines that are padding as a whole
            axis = int(padding.shape[1] != self.sampled.shape[1])
            padding = np.repeat(padding.all(axis, keepdims=True), self.sampled.shape[axis], axis)
        self.sampled = self.sampled | padding
        self.assumptions.add(
            f"k-space is zero beyond the measured frequencies, at {100 * padding.mean():.1f} % of its points"
        )


def _whole_lines(content: KSpace, axis: int) -> bool:
    """Whether all lines along an axis are sampled as a whole."""
    places = content.sampled if content.padding is None else content.sampled | content.padding
    return bool((places.all(axis) == places.any(axis)).all())
