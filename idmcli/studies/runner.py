"""Carries out the jobs of a study: each in a process of its own, several cases at once."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

from idmcli.errors import CheckFailed
from idmcli.io.atomic import ensure_writable
from idmcli.reporting import Listener
from idmcli.studies.planner import Case, Job
from idmcli.studies.records import Record, read_record, write_record

LOG = "log"  # ending of what a job wrote to stderr


@dataclass
class Runner:
    """Runs cases; a job that is done already is left out, and one that fails stops its case alone where it must.

    Attributes:
        program: starts ``idm`` as another process, which ends when its standard input does.
        listener: told what goes on.
    """

    program: Sequence[str]
    listener: Listener
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)
    _stopping: Event = field(default_factory=Event)

    def run(self, cases: Sequence[Case], at_once: int = 1) -> None:
        """Run all jobs of cases, ``at_once`` cases at a time.

        Raises:
            KeyboardInterrupt, SystemExit: stopped, and the processes with it; what they saved is continued next time.
        """
        with self.listener.progress(len(cases), "cases") as progress, ThreadPoolExecutor(at_once) as pool:
            futures = {pool.submit(self._case, case): case for case in cases}
            try:
                for future in as_completed(futures):
                    future.result()
                    case = futures[future]
                    progress.advance(note=f"{case.variant.name}, seed {case.seed}")
            except BaseException:
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def stop(self) -> None:
        """End all processes, and start no more."""
        with self._lock:
            self._stopping.set()
            for process in self._running:
                assert process.stdin is not None
                process.stdin.close()

    def _case(self, case: Case) -> None:
        trained = True
        for job in case.jobs:
            if self._stopping.is_set() or (job.needs_training and not trained):
                continue
            record = read_record(case, job)
            if record is None or not record.done:
                record = self._job(case, job)
            if record is not None and not record.done:
                trained = trained and job.action != "train"
                name = f"{case.variant.name}, seed {case.seed}: {job.name}"
                self.listener.failure(name, CheckFailed(f"{name} failed: {record.reason}", f"see {_log(case, job)}"))

    def _job(self, case: Case, job: Job) -> Record | None:
        """Run a job; None if the study was stopped meanwhile."""
        ensure_writable(case.folder)
        write_record(case, job, Record(job.command))
        start = time.perf_counter()
        with open(_log(case, job), "wb") as log, open(case.folder / f".{job.name}.out", "w+b") as out:
            with self._lock:
                if self._stopping.is_set():
                    return None
                process = subprocess.Popen(
                    [*self.program, *resumed(case, job), "--json"], stdin=subprocess.PIPE, stdout=out, stderr=log
                )
                self._running.add(process)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)  # Popen would wait for it again
            with self._lock:
                self._running.discard(process)
                assert process.stdin is not None
                process.stdin.close()
            out.seek(0)
            said = _parsed(out.read())
        os.unlink(case.folder / f".{job.name}.out")
        if self._stopping.is_set():
            return None
        seconds = time.perf_counter() - start
        record = Record(job.command, process.returncode, seconds, 1024 * usage.ru_maxrss, said)
        write_record(case, job, record)
        return record


def resumed(case: Case, job: Job) -> Sequence[str]:
    """The command of a job, or the one that continues its training where that was begun."""
    if job.action != "train" or not (case.run / "checkpoint.pt").exists():
        return job.command
    kept = [argument for argument in job.command if argument.startswith("--data=")]
    device = list(job.command[-2:]) if job.command[-2] == "--device" else []
    return ["train", "--resume", *kept, "--out", str(case.run), *device]


def _log(case: Case, job: Job) -> str:
    return str(case.folder / f"{job.name}.{LOG}")


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
