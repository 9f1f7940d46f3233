"""Tables of memory for people: one unit for all cells, named in the title."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from idmcli.memory.report import Fit, Row, slopes
from idmcli.memory.variants import Variant
from idmcli.sizes import format_size

if TYPE_CHECKING:
    from idmcli.config import Config

PAPER_SAVING = "The paper reports a saving of 93.8 % at T = 12."
COMPUTED = (
    "Computed: exact for the tensors of PyTorch's CPU operators, gradients counted as if taken for the whole step; "
    "a GPU's kernels need workspace beside them, and its allocator rounds up."
)
PAPER_BATCH = (
    "The paper's Table 6 does not say at which batch and crop it was measured: beside its figures stands the largest "
    "batch of such crops within them."
)
MEASURED = (
    "Columns marked * are measured, each plan in a process of its own: what the allocator gave out at the peak, "
    "what it held, and the time of a step over the time of plain; - is out of memory."
)


def title(name: str, config: Config, varying: str = "") -> str:
    """A description of what was computed: the network, T, batch, ... ; ``varying`` ("T" or "batch") is left out."""
    m, t = config.model, config.training
    parts = {"network": f"{name}: {_network(m)}", "T": f"T = {getattr(m, 'steps', 1)}", "batch": f"batch {t.batch}"}
    without = {varying} if hasattr(m, "steps") else {varying, "T"}
    named = [text for key, text in parts.items() if key not in without]
    return ", ".join([*named, f"{t.patch} x {t.patch} pixels", t.precision, t.optimizer, f"torch {torch.__version__}"])


def _network(model: Any) -> str:
    if not hasattr(model, "size"):
        return f"{model.kind} at {100 * model.ratio:g} %"
    return f"{'full-size' if model.size == 'full' else f'{model.size} {list(model.channels)}'} network"


def row_table(rows: Sequence[Row], config: Config) -> tuple[str, list[dict[str, Any]]]:
    """The unit, and one line for each plan."""
    unit, factor = unit_of(row.memory.peak for row in rows)

    def cell(size: int | None) -> str:
        return "-" if size is None else f"{size / factor:.2f}"

    lines = []
    for row in rows:
        record, measured = row.record(rows[0]), row.measured
        line: dict[str, Any] = {"plan": row.name}
        line |= {part: cell(record[part]) for part in ("parameters", "average", "optimiser", "gradients")}
        line |= {part: cell(record[part]) for part in ("activations", "temporaries", "peak")}
        line |= {"saved %": f"{100 * record['saving']:.1f}", "of act. %": f"{100 * record['saving_activations']:.1f}"}
        line["passes"] = record["passes"]
        if any(row.measured for row in rows):
            line["allocated*"] = cell(measured.allocated if measured else None)
            line["reserved*"] = cell(measured.reserved if measured else None)
            line["time*"] = record["time_ratio"]
        lines.append(line)
    return unit, lines


def sweep_table(table: Mapping[int, Sequence[Row]]) -> tuple[str, list[dict[str, Any]]]:
    """The unit, and one line for each T with the peak of each plan; the last line is the growth per step."""
    unit, factor = unit_of(row.memory.peak for rows in table.values() for row in rows)
    lines: list[dict[str, Any]] = [
        {"T": steps, **{row.name: f"{row.memory.peak / factor:.2f}" for row in rows}} for steps, rows in table.items()
    ]
    if len(table) > 1:
        growth = {name: format_size(slope["peak"]) for name, slope in slopes(table).items()}
        lines.append({"T": "per step", **growth})
    return unit, lines


def fit_table(fits: Sequence[Fit]) -> tuple[str, list[dict[str, Any]]]:
    """The unit, and one line for each plan."""
    unit, factor = unit_of(fit.peak for fit in fits)
    return unit, [{"plan": fit.name, "largest batch": fit.batch, "peak": f"{fit.peak / factor:.2f}"} for fit in fits]


def variant_table(found: Sequence[Variant], published: Callable[[Variant], float | None]) -> list[dict[str, Any]]:
    """One line for each variant: its sizes in MiB, and the published figure with the largest batch within it.

    Args:
        found: the variants.
        published: GB of a variant, or None.
    """
    lines = []
    for variant in found:
        memory = variant.memory
        sizes = {
            part: getattr(memory, part) for part in ("parameters", "optimiser", "activations", "temporaries", "peak")
        }
        line: dict[str, Any] = {
            "variant": variant.name,
            **{part: f"{size / 2**20:.0f}" for part, size in sizes.items()},
        }
        line["saved %"] = f"{100 * (1 - memory.peak / _same_without(variant, found).memory.peak):.1f}"
        line["paper GB"] = published(variant)
        line["batch within"] = variant.fitting and variant.fitting.batch
        lines.append(line)
    return lines


def _same_without(variant: Variant, found: Sequence[Variant]) -> Variant:
    """The variant that is not reversible and otherwise the same."""
    return next(other for other in found if not other.reversible and other.injectors == variant.injectors)


def unit_of(sizes: Iterable[int]) -> tuple[str, int]:
    """The unit in which the largest of some sizes has a few digits before the point, and its bytes."""
    return ("GiB", 2**30) if max(sizes) >= 2**30 else ("MiB", 2**20)
