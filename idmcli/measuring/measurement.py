"""A measured image: what a file holds, and what every reconstruction starts from."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor

from idmcli import __version__, tasks
from idmcli.errors import InputError
from idmcli.io.geometry import Geometry
from idmcli.io.images import Bits
from idmcli.io.scale import Scale
from idmcli.operators import LinearOperator, Operator, Problem, Spec
from idmcli.seeds import item_seed
from idmcli.tasks import Amount
from idmcli.text import escape


@dataclass(frozen=True)
class Provenance:
    """How measurements were made. No date: the same command gives the same bytes.

    Attributes:
        command: the command line.
        source: name of the measured or imported file, without its folder.
        source_sha256: the checksum of this file.
        version: the version of idm.
        notes: the assumptions of an import.
    """

    command: str
    source: str
    source_sha256: str
    version: str = __version__
    notes: tuple[str, ...] = ()

    @classmethod
    def of_file(cls, command: str, source: Path) -> Self:
        """The provenance of measurements that ``command`` takes of the file ``source``."""
        with source.open("rb") as file:
            return cls(command, escape(source.name), hashlib.file_digest(file, "sha256").hexdigest())

    @property
    def simulated(self) -> bool:
        """Whether ``idm sense`` made them of a picture."""
        return self.command.startswith("idm sense ")


@dataclass(frozen=True, eq=False)
class Measurement:
    """The measurements y = A x + n of one image, with everything that is known about them.

    Attributes:
        operator: A.
        y: measurements, (\\*operator.measurement_shape), real or complex, on the CPU.
        noise: standard deviation of the noise of every measured number (of the real and of the imaginary part of a
            complex one), in the unit of y; 0 if there is none or it is not known.
        gain: the value that 1 in the image stands for, in the unit of y: solvers work on y / gain, whose image is in
            0..1, and results are multiplied back. None if it is not known; then it is estimated. Simulated
            measurements have 1.
        scale: the values, with their unit, that 0 and 1 in the image stand for.
        bits: 8 or 16, the depth to write a picture of the result with; 32 if the picture had values of any range.
        truth: the image, (C, H, W) in 0..1, if it is known.
        provenance: how y was made, if that is known.
        noise_seed: where the noise was drawn from; None without noise.
        base_seed: where a solver's seed follows from if nothing that was measured is random.
        geometry: where the pixels of the image lie, for results in DICOM and NIfTI; None if it is not known.
        container: the kind of arrays that a result comes back in from :func:`idmcli.reconstruct`.

    Raises:
        InputError: y has another shape than the operator gives, or is not finite; noise or gain are out of range; a
            gain for an operator that is not linear.
    """

    operator: Operator
    y: Tensor
    noise: float = 0.0
    gain: float | None = 1.0
    scale: Scale = Scale()
    bits: Bits = 8
    truth: Tensor | None = None
    provenance: Provenance | None = None
    noise_seed: int | None = None
    base_seed: int = 0
    geometry: Geometry | None = None
    container: Literal["numpy", "torch"] = "numpy"

    def __post_init__(self) -> None:
        expected = tuple(self.operator.measurement_shape)
        if tuple(self.y.shape) != expected:
            raise InputError(
                f"the measurements have shape {tuple(self.y.shape)}, but their operator ({self.operator.kind}) gives "
                f"{expected}",
                "measure again, or correct the operator",
            )
        if not bool(self.y.isfinite().all()):
            raise InputError("the measurements hold NaN or infinity", "replace or leave out such values")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise InputError(f"the noise level is {self.noise!r}", "it must be a number >= 0")
        if self.gain is not None and not (math.isfinite(self.gain) and self.gain > 0):
            raise InputError(f"the gain is {self.gain!r}", "it must be a number > 0")
        if self.gain not in (None, 1.0) and not isinstance(self.operator, LinearOperator):
            raise InputError(
                f"a gain of {self.gain:g} is stated, and the {self.operator.kind} operator is not linear",
                "leave out the gain: the image of such an operator is in 0..1",
            )

    @cached_property
    def spec(self) -> Spec:
        """The operator's specification; InputError if it has none. It takes checksums of the operator's arrays."""
        return self.operator.to_spec()

    @property
    def seed(self) -> int:
        """The seed of what a solver draws: it follows from what was measured, not from the name of a file."""
        try:
            text = json.dumps(self.spec, sort_keys=True)
        except InputError:  # an operator that cannot be described
            text = ""
        return item_seed(self.noise_seed or (0 if "seed" in text else self.base_seed), text)

    @property
    def amount(self) -> Amount:
        """How much was measured."""
        return tasks.amount(self.operator)

    def problem(self, gain: float) -> Problem[Operator]:
        """The problem for solvers: ``y / gain = A (x / gain) + n / gain``, with a batch dimension."""
        return Problem(self.operator, self.y[None] / gain, self.noise / gain)

    def save(self, path: str | Path, *, replace: bool = True) -> None:
        """Write a measurement file, from which :func:`idmcli.load` makes an equal measurement, without the truth.

        Args:
            path: ends in ``.safetensors``.
            replace: a file that exists.

        Raises:
            InputError: another suffix, a file that exists and may not be replaced, an operator that has no
                specification (one of functions), or an image of neither 1 nor 3 channels.
            ResourceError: the folder cannot be written to.
        """
        from idmcli.measuring.file import save_measurement

        save_measurement(path, self, replace=replace)

    def record(self) -> dict[str, Any]:
        """The facts beside y for people and JSON."""
        return {
            "measured": self.amount.text,
            "y": f"{str(self.y.dtype).removeprefix('torch.')} {tuple(self.y.shape)}",
            "colour": "grey" if self.operator.image_shape[0] == 1 else "rgb",
            "bits": self.bits,
            "scale": str(self.scale),
            "geometry": None if self.geometry is None else self.geometry.to_json(),
            "noise": self.noise,
            "noise_seed": self.noise_seed,
            "gain": self.gain,
            "operator": self.spec,
        }
