"""K-space of a scanner as a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idmcli.importing.base import Assumptions, Facts, Importer, ImportOptions
from idmcli.io.formats import KSpace
from idmcli.ranges import Count

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.importing.mri.data import KSpaceData
    from idmcli.io.items import Item
    from idmcli.measuring import Measurement
    from idmcli.operators import MRI


@dataclass(frozen=True)
class KSpaceImportOptions(ImportOptions):
    """The options for k-space."""

    maps: str = "espirit"  # "espirit", "lowres", or a file of coil maps
    noise_scan: str | None = None  # file of a noise scan; not set: the noise readouts of the file itself, if any
    coils: Count | None = None  # virtual coils to combine the coils to; not set: as many as hold 99.9 % of the energy


class KSpaceImporter(Importer[KSpace, KSpaceImportOptions]):
    """Cartesian k-space: noise is decorrelated, coils are combined, the field of view is cropped, maps are found."""

    noun = "k-space data"
    content = KSpace
    options = KSpaceImportOptions

    def facts(self, content: KSpace) -> Facts:
        from idmcli.importing.mri.grid import by, calibration_box
        from idmcli.importing.mri.maps import LEAST

        measured = content.sampled if content.padding is None else content.sampled | content.padding
        own = content.sampled if content.calibration is None else (content.calibration != 0).any(0)
        box = calibration_box(own)
        known: dict[str, Any] = {
            "matrix": by(content.sampled.shape),
            **content.facts,
            "sampled": f"{100 * content.sampled.mean():.1f} %",
            "acceleration": round(float(1 / measured.mean()), 2),
            "calibration": by(box),
            "noise_scan": content.noise is not None,
        }
        if content.readout is not None:
            known["readout"] = ("along the rows' index", "along the columns' index")[content.readout]
        if content.fov is not None and content.fov != content.sampled.shape:
            known["field_of_view"] = by(content.fov)
        few = len(content.samples) > 1 and min(box) < LEAST
        return Facts(known, ("coil maps (--maps FILE)",) if few else ())

    def measure(
        self, content: KSpace, options: KSpaceImportOptions, item: Item, assumptions: Assumptions
    ) -> Measurement:
        from idmcli.importing.mri.data import KSpaceData
        from idmcli.importing.mri.files import noise_scan
        from idmcli.importing.mri.grid import origin_moved
        from idmcli.importing.mri.maps import coil_maps
        from idmcli.measuring import Measurement
        from idmcli.operators import MRI

        for note in content.notes:
            assumptions.add(note)
        data = KSpaceData.of(content, item, assumptions)
        scan = content.noise if options.noise_scan is None else noise_scan(options.noise_scan, data.coils)
        data.combine(options.coils)
        scanned = data.decorrelate(scan, content.repeats)
        margin = data.crop(content)
        data.pad(content)
        sampled, maps = data.places, coil_maps(data, options.maps)
        operator = MRI((1, *data.shape), sampled, dc="centre", complex_image=True, sensitivity=maps)
        y = origin_moved(data.samples)[:, sampled]
        noise = options.noise
        if noise is None:
            noise = _noise_level(operator, y, data, scanned, margin)
        return Measurement(operator, y, noise, options.gain, bits=16)


def _noise_level(operator: MRI, y: Tensor, data: KSpaceData, scanned: float | None, margin: float | None) -> float:
    """The noise level, by the best evidence that there is."""
    from idmcli.importing.mri.noise import noise_of_fit, noise_of_floor

    found = {
        "the noise scan": scanned,
        "what a least-squares image leaves of the measurements": noise_of_fit(operator, y) if data.coils > 1 else None,
    }
    if not any(found.values()):
        found["the margin of the oversampled readout"] = margin
    if not any(found.values()):
        floor = noise_of_floor(data.samples, data.places)
        found["the highest frequencies, where the signal has fallen to a floor"] = floor
    level, source = max((level or 0.0, source) for source, level in found.items())
    if level:
        data.assumptions.add(f"noise {level:.3g}, from {source}")
    else:
        data.assumptions.add("noise not known, and taken as 0: --noise states it")
    return level


IMPORTER = KSpaceImporter()
