"""The results of a study: one tidy row for each variant, seed, data set and ratio."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from idmcli.evaluation.tables import Score
from idmcli.studies.planner import Case
from idmcli.studies.records import Record, read_record

SCORE_FIELDS = tuple(field.name for field in fields(Score))


@dataclass(frozen=True)
class Row:
    """One result.

    Attributes:
        variant: its name.
        seed: of its training.
        dataset: empty where nothing was evaluated.
        ratio: in (0, 1]; None where nothing was evaluated.
        setting: what stands for the ratio where that differs between pictures.
        images: how many.
        psnr: mean over the images in dB.
        psnr_std: population standard deviation over the images.
        ssim: mean over the images.
        seconds: of a reconstruction, mean over the images.
        method: that reconstructed; empty where nothing was evaluated.
        evaluations: of networks, in a reconstruction.
        training_seconds: of the training's process; None where it was done in several parts, or not at all.
        training_memory: its resident peak in bytes.
        step_memory: computed peak of a training step in bytes.
        largest_batch: that fits the study's memory.
        paper: the published figures.
        failed: why there is less than the study asked for; empty if there is all.
    """

    variant: str
    seed: int
    dataset: str = ""
    ratio: float | None = None
    setting: str = ""
    images: int = 0
    psnr: float | None = None
    psnr_std: float | None = None
    ssim: float | None = None
    seconds: float | None = None
    method: str = ""
    evaluations: float | None = None
    training_seconds: float | None = None
    training_memory: int | None = None
    step_memory: int | None = None
    largest_batch: int | None = None
    paper: str = ""
    failed: str = ""


def rows_of(cases: Sequence[Case]) -> list[Row]:
    """The rows of what is done so far, in the order of the study."""
    return [row for case in cases for row in _rows(case)]


def scores_of(cases: Sequence[Case]) -> list[Score]:
    """The scores of single images, each with the name of its variant in the place of the method's.

    With several seeds the name tells the seed too.
    """
    several = len({case.seed for case in cases}) > 1
    found = []
    for case in cases:
        name = f"{case.variant.name} (seed {case.seed})" if several else case.variant.name
        for record in _records(case, "evaluate"):
            results = (record.output or {}).get("results", [])
            scored = [result for result in results if result.get("psnr") is not None]
            scores = (Score(**{key: result[key] for key in SCORE_FIELDS if key in result}) for result in scored)
            found += [replace(score, method=name) for score in scores]
    return found


def to_csv(rows: Sequence[Row]) -> str:
    """A line for each row below one of names; what is missing is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    for row in rows:
        writer.writerow("" if value is None else value for value in asdict(row).values())
    return text.getvalue()


def _rows(case: Case) -> Iterator[Row]:
    base = Row(case.variant.name, case.seed, paper=case.variant.paper, failed="; ".join(_failures(case)))
    for record in _records(case, "train"):
        base = replace(base, training_seconds=record.seconds, training_memory=record.peak_memory)
    for record in _records(case, "memory"):
        base = replace(base, **_memory(record))
    evaluated = False
    for record in _records(case, "evaluate"):
        for summary in (record.output or {}).get("summary", {}).get("summary", []):
            evaluated = True
            yield replace(
                base,
                dataset=summary["dataset"],
                ratio=summary["ratio"],
                setting="" if summary["column"].endswith(" %") else summary["column"],
                images=summary["n"],
                **{key: summary[key] for key in ("psnr", "psnr_std", "ssim", "seconds", "method", "evaluations")},
            )
    if not evaluated:
        yield base


def _memory(record: Record) -> dict[str, Any]:
    """The peak of the configuration as it is, or the largest batch of it."""
    summary = (record.output or {}).get("summary", {})
    configured = summary.get("configured") or {}
    if "budget" in summary:
        return {"largest_batch": configured.get("batch")}
    return {"step_memory": configured.get("peak")}


def _records(case: Case, action: str) -> Iterator[Record]:
    """The records of the jobs of one kind that ended well."""
    for job in case.jobs:
        record = read_record(case, job) if job.action == action else None
        if record is not None and record.done:
            yield record


def _failures(case: Case) -> Iterator[str]:
    for job in case.jobs:
        record = read_record(case, job)
        if record is not None and record.reason:
            yield f"{job.name}: {record.reason}"
