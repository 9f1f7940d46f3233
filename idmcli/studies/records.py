"""The record of each job: its command, how it ended, its time and memory, and its output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from idmcli.errors import InputError
from idmcli.io.atomic import write_text
from idmcli.studies.planner import Case, Job


@dataclass(frozen=True)
class Record:
    """A job that was begun.

    Attributes:
        command: arguments of ``idm``.
        exit_code: None as long as it has not ended.
        seconds: wall-clock time.
        peak_memory: resident, in bytes.
        output: the JSON object that it printed.
    """

    command: Sequence[str]
    exit_code: int | None = None
    seconds: float = 0.0
    peak_memory: int = 0
    output: dict[str, Any] | None = None

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self.exit_code == 0

    @property
    def reason(self) -> str:
        """Why it failed; empty if it did not."""
        if self.exit_code in (0, None):
            return ""
        error = (self.output or {}).get("error") or {}
        return str(error.get("message") or f"it ended with code {self.exit_code}")


def record_path(case: Case, job: Job) -> Path:
    """The file of a job's record."""
    return case.folder / f"{job.name}.json"


def write_record(case: Case, job: Job, record: Record) -> None:
    """Write a record atomically."""
    write_text(record_path(case, job), json.dumps(asdict(record), indent=1) + "\n")


def read_record(case: Case, job: Job) -> Record | None:
    """The record of a job; None if it was never begun.

    Raises:
        InputError: the file is damaged.
    """
    path = record_path(case, job)
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{str(path)!r} cannot be read", "remove it, and its job runs again") from error


def refuse_other_study(cases: Sequence[Case]) -> None:
    """Raise InputError if the folder holds results of other commands than these cases have.

    A job that failed, and left nothing to continue from, may run again with another command.
    """
    for case in cases:
        kept = (case.run / "checkpoint.pt").exists()
        for job in case.jobs:
            record = read_record(case, job)
            if record is None or (record.reason and not kept):
                continue
            if list(record.command) != list(job.command):
                raise InputError(
                    f"{str(case.folder)!r} was made by another `idm {job.action}` than the one in this study",
                    "choose another --out, or remove that folder",
                )
