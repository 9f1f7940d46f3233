"""The files that ``idm reconstruct`` writes for one reconstruction, and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idmcli import tasks
from idmcli.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.batch import Outputs
    from idmcli.cli.output import Output
    from idmcli.io.items import Item
    from idmcli.io.scale import Scale
    from idmcli.measuring import Measurement
    from idmcli.methods import Reconstruction
    from idmcli.operators import Operator

STD_GAIN = 5  # standard deviations are small: white is a fifth of the scale


@dataclass(frozen=True)
class Results:
    """The files of one input: the result, and what was asked for beside it.

    Attributes:
        format: of the result and the mean: npz, or the suffix of a format of pictures.
        samples: how many are drawn; of several, their mean and standard deviation are written.
        compare: whether a panel is.
    """

    format: str
    samples: int
    compare: bool

    def check(self) -> None:
        """InputError if no format of results is called so."""
        from idmcli.io.formats import picture_formats

        known = [suffix[1:] for format in picture_formats() if format.bits for suffix in format.suffixes]
        if self.format not in (*known, "npz"):
            raise InputError(f"--format {self.format} is no format of results", f"use npz, {', '.join(known)}")

    @property
    def endings(self) -> list[str]:
        """The ending of each file's name, behind the stem of the input."""
        spread = [f"_mean.{self.format}", "_std.png"] if self.samples > 1 else []
        return [f".{self.format}", *(["_compare.png"] if self.compare else []), *spread]

    def write(
        self,
        outputs: Outputs,
        m: Measurement,
        found: Reconstruction,
        provenance: Mapping[str, Any],
    ) -> tuple[dict[str, Any], str]:
        """Write all of them; returns the record for JSON and the text for people.

        Args:
            outputs: paths in the order of :attr:`endings`.
            m: what was reconstructed.
            found: how.
            provenance: of the result.
        """
        from idmcli.evaluation.tables import with_reasons
        from idmcli.methods.fit import percent
        from idmcli.methods.reconstruction import as_pictures
        from idmcli.metrics import quality

        named = dict(zip(self.endings, outputs.paths, strict=True))
        x, path, method = found.x[:1], named[f".{self.format}"], provenance["method"]
        try:
            scale = m.scale.for_gain(found.gain)
        except ValueError as error:
            raise InputError(f"with a gain of {found.gain:g}, {error}", "state another --gain") from error
        how: dict[str, Any] = {"scale": scale, "replace": outputs.replace}
        self._save(path, found.images[:1], m, provenance=provenance, **how)
        record: dict[str, Any] = {
            "output": path,
            "method": method,
            "weights": provenance["weights"] or None,
            "seed": provenance["seed"],
            "kind": m.operator.kind,
            "ratio": m.amount.ratio,
            "seconds": found.seconds,
        }
        text = f"{path}: {m.operator.kind}, {m.amount.text}"
        if m.operator.padded_shape != m.operator.image_shape:
            record["padded_shape"] = m.operator.padded_shape
            text += f", padded to {m.operator.padded_shape[1]}x{m.operator.padded_shape[2]}"
        if m.noise:
            record["noise"] = m.noise
            text += f", noise {m.noise:g}"
        if m.gain != 1:
            record["gain"] = found.gain
            text += f", gain {found.gain:.4g}" + (" (estimated)" if m.gain is None else "")
        text += f", method {method}"
        record["fit"] = with_reasons(asdict(found.fit))
        text += f", misfit {percent(found.fit.misfit)}"
        if m.noise:
            text += f" (noise explains {percent(found.fit.explained)})"
        if found.unknown is not None:
            record["unknown"] = {m.operator.unknown_name: found.unknown}
            text += f", {m.operator.unknown_name} found {found.unknown:.3g}"
        if m.truth is not None:
            near, peak = quality(x, m.truth[None]), m.scale.peak(m.bits)
            record |= with_reasons(near._asdict()) | {"peak": peak}
            text += f", PSNR {near.psnr:.2f} dB (peak {peak}), SSIM {near.ssim:.4f}"
        if self.samples > 1:
            record |= {"samples": self.samples, "mean": named[f"_mean.{self.format}"], "std": named["_std.png"]}
            mean = found.images.mean(0, keepdim=True)
            of_all = {**provenance, "samples": self.samples}
            self._save(record["mean"], mean, m, provenance={**of_all, "of": "mean"}, **how)
            text += f"; mean of {self.samples} samples in {record['mean']}"
            if m.truth is not None:
                near = quality(as_pictures(mean), m.truth[None])
                record |= {"mean_psnr": near.psnr, "mean_ssim": near.ssim}
                text += f", PSNR {record['mean_psnr']:.2f} dB (peak {peak})"
            white = self._spread(record["std"], found, of_all, **how)
            text += f", standard deviation in {record['std']} (white: {white})"
        if self.compare:
            record["panel"] = named["_compare.png"]
            self._panel(record["panel"], m, found, method, replace=outputs.replace)
            text += f", panel {record['panel']}"
        return record, text

    def _save(self, path: Path, x: Tensor, m: Measurement, **how: Any) -> None:
        """Write images as they are where the format holds such values, and as pictures elsewhere."""
        from idmcli.io.arrays import write_array
        from idmcli.io.images import write_image, writer_of
        from idmcli.methods.reconstruction import as_pictures

        if self.format == "npz":
            return write_array(path, pixels(x), **how)
        able = writer_of(path).bits
        if 32 in able:
            return write_image(path, pixels(x), 32, geometry=m.geometry, **how)
        bits = min(m.bits, 16)
        write_image(path, pixels(as_pictures(x)), bits if bits in able else max(able), **how)

    def _spread(
        self, path: Path, found: Reconstruction, provenance: Mapping[str, Any], *, scale: Scale, replace: bool
    ) -> str:
        """Write the standard deviation; what white stands for in it."""
        from idmcli.io.images import write_image
        from idmcli.io.scale import Scale

        white = Scale(0, (scale.high - scale.low) / STD_GAIN, scale.unit)
        spread = found.x.std(0, keepdim=True)
        of_spread = {**provenance, "of": "standard deviation"}
        shown = pixels((STD_GAIN * spread).clamp(0, 1))
        write_image(path, shown, 16, scale=white, provenance=of_spread, replace=replace)
        return f"{white.high:g} {white.unit}".rstrip()

    def _panel(self, path: Path, m: Measurement, found: Reconstruction, method: str, *, replace: bool) -> None:
        from idmcli.io.images import write_image
        from idmcli.io.panels import error_map, panel
        from idmcli.methods.reconstruction import as_pictures

        x, seen = found.x[:1], tasks.seen(m.operator, m.problem(found.gain).y)
        measured = as_pictures(seen.picture)
        views = [(labelled(seen.label, measured, m.truth), pixels(measured)), (labelled(method, x, m.truth), pixels(x))]
        if m.truth is not None:
            error = (x - m.truth[None].clamp(0, 1)).abs().mean(1)[0].numpy()
            scale = m.scale.for_gain(found.gain)
            views = [
                ("truth", pixels(m.truth[None].clamp(0, 1))),
                *views,
                ("error", error_map(error, scale.high - scale.low, scale.unit)),
            ]
        noise = f", noise {m.noise:g}" if m.noise else ""
        write_image(path, panel(views, f"{m.operator.kind}: {m.amount.text}{noise}"), replace=replace)


def labelled(name: str, x: Tensor, truth: Tensor | None) -> str:
    """The name of a picture and, where it is one of the truth, how near it is."""
    from idmcli.metrics import quality

    if truth is None or x.shape[1:] != truth.shape:
        return name
    near = quality(x, truth[None])
    return f"{name}\n{near.psnr:.2f} dB, SSIM {near.ssim:.3f}"


def pixels(x: Tensor) -> Any:
    """(1, C, H, W) to (H, W) or (H, W, 3)."""
    return x[0, 0].numpy() if x.shape[1] == 1 else x[0].permute(1, 2, 0).numpy()


def plan(item: Item, outputs: Sequence[Path], operator: Operator, output: Output, method: str | None = None) -> None:
    """Report what would be done with an input.

    Args:
        item: the input.
        outputs: the files that would be written.
        operator: what measures, or measured, it.
        output: where to report.
        method: that would reconstruct it; None if nothing would.
    """
    amount = tasks.amount(operator)
    record = {"input": str(item), "outputs": outputs, "kind": operator.kind, "ratio": amount.ratio, "method": method}
    by = f", method {method}" if method else ""
    names = ", ".join(map(str, outputs))
    output.result(record, f"{item} -> {names}: {operator.kind}, {amount.text}{by} (not done)")
