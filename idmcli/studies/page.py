"""The page of ``idm eval --report``, with the variants of a study in the place of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from idmcli.environment import environment
from idmcli.evaluation.report import PageFacts, to_html
from idmcli.io.atomic import write_bytes
from idmcli.studies.planner import Case
from idmcli.studies.results import Row, scores_of
from idmcli.studies.study import folder_name


def write_pages(folder: Path, title: str, cases: Sequence[Case], rows: Sequence[Row], command: str) -> list[Path]:
    """Write one page for each data set: ``report-DATASET.html``.

    Args:
        folder: to write to.
        title: of the study.
        cases: of the study.
        rows: their results.
        command: as it was typed.

    Returns:
        The files that were written.

    Raises:
        ResourceError: the folder cannot be written to.
    """
    scores = scores_of(cases)
    versions = {key: value for key, value in environment().items() if isinstance(value, str | int | float)}
    written = []
    for dataset in sorted({score.dataset for score in scores}):
        facts = PageFacts(
            title=f"{title}: {dataset}",
            colour=None,  # variants compare with one another, and the paper's figures stand in their names' rows
            measured="rgb" if cases[0].config.task.channels == 3 else "luminance",
            configuration={"task": asdict(cases[0].config.task)},
            settings={case.variant.name: _settings(case) for case in cases},
            left_out={},
            failures=[f"{row.variant}, seed {row.seed}: {row.failed}" for row in rows if row.failed],
            command=command,
            versions=versions,
        )
        written.append(folder / f"report-{folder_name(dataset)}.html")
        text = to_html([score for score in scores if score.dataset == dataset], {}, facts)
        write_bytes(written[-1], text.encode("utf-8", "backslashreplace"))
    return written


def _settings(case: Case) -> Mapping[str, object]:
    weights = case.variant.weights or str(case.run / "weights.safetensors")
    return {"options": {"settings": " ".join(case.variant.set)}, "weights": weights, "precision": None}
