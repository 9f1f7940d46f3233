"""Jobs in processes of their own: resumed, stopped, failing alone. The program is a few lines of Python."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from idmcli.config import load_config
from idmcli.errors import IdmError, InputError
from idmcli.reporting import Listener
from idmcli.studies.planner import Case, Job
from idmcli.studies.records import Record, read_record, refuse_other_study, write_record
from idmcli.studies.results import rows_of, to_csv
from idmcli.studies.runner import Runner, resumed
from idmcli.studies.study import Variant

# It notes that it ran, and does what its first argument says.
PROGRAM = """
import json, pathlib, sys, time
word, name = sys.argv[1:3]
with open("ran", "a") as file:
    print(word, name, file=file)
if word == "fail":
    print(json.dumps({"error": {"message": "it was meant to"}}))
    sys.exit(3)
if word == "together":  # until another one is there too
    pathlib.Path(name).touch()
    while len(list(pathlib.Path().glob("together-*"))) < 2:
        time.sleep(0.01)
if word == "wait":
    sys.stdin.read()
    sys.exit(143)
print(json.dumps({"summary": {}}))
"""


class Heard(Listener):
    """Keeps what failed."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def failure(self, item: str, error: IdmError) -> None:
        self.failures.append(error.message)


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("program.py").write_text(PROGRAM)


def case(name: str, *jobs: Job) -> Case:
    return Case(Variant(name), 0, load_config("rk-ccsnet").config, Path("cases") / name / "seed-0", jobs)


def job(action: str, word: str, name: str, *, needs: bool = False) -> Job:
    return Job(action, name, [word, name], needs)  # type: ignore[arg-type]


def run(cases: Sequence[Case], at_once: int = 1) -> Heard:
    heard = Heard()
    Runner([sys.executable, "program.py"], heard).run(cases, at_once)
    return heard


def ran() -> list[str]:
    return Path("ran").read_text().splitlines() if Path("ran").exists() else []


def test_a_failure_stops_what_needs_it_and_nothing_else() -> None:
    bad = case("bad", job("train", "fail", "a"), job("evaluate", "good", "b", needs=True), job("memory", "good", "c"))
    good = case("good", job("train", "good", "d"))
    heard = run([bad, good])
    assert ran() == ["fail a", "good c", "good d"]
    assert heard.failures == ["bad, seed 0: a failed: it was meant to"]
    assert [row.failed for row in rows_of([bad, good])] == ["a: it was meant to", ""]


def test_what_is_done_is_not_done_again_and_what_failed_is() -> None:
    cases = [case("x", job("memory", "good", "a"), job("train", "fail", "b"))]
    run(cases)
    run(cases)
    assert ran() == ["good a", "fail b", "fail b"]


def test_jobs_run_at_once() -> None:
    cases = [case(f"c{n}", job("memory", "together", f"together-{n}")) for n in range(2)]
    run(cases, at_once=2)  # one after the other they would wait for each other
    assert all(record is not None and record.done for record in (read_record(c, c.jobs[0]) for c in cases))


def test_a_record_tells_time_and_memory() -> None:
    one = case("x", job("train", "good", "a"))
    run([one])
    (row,) = rows_of([one])
    assert row.training_seconds is not None
    assert row.training_seconds > 0
    assert row.training_memory is not None
    assert row.training_memory > 2**20
    assert to_csv([row]).startswith("variant,seed,dataset,ratio,")


def test_a_training_that_was_begun_is_resumed() -> None:
    command = ["train", "--preset", "x", "--data=a", "--data=b", "--out", "o", "--device", "cpu"]
    begun = case("x", Job("train", "train", command))
    assert resumed(begun, begun.jobs[0]) == command
    begun.run.mkdir(parents=True)
    (begun.run / "checkpoint.pt").touch()
    resume = ["train", "--resume", "--data=a", "--data=b", "--out", str(begun.run), "--device", "cpu"]
    assert list(resumed(begun, begun.jobs[0])) == resume


def test_the_folder_of_another_study_is_refused() -> None:
    mine, other = case("x", job("train", "good", "a")), case("x", Job("train", "a", ["another"]))
    run([mine])
    refuse_other_study([mine])
    with pytest.raises(InputError, match="was made by another `idm train`"):
        refuse_other_study([other])


def test_a_failed_job_may_run_again_with_another_command() -> None:
    run([case("x", job("train", "fail", "a"))])
    mended = case("x", Job("train", "a", ["good", "a"]))
    refuse_other_study([mended])
    run([mended])
    assert ran() == ["fail a", "good a"]


def test_a_damaged_record_is_named() -> None:
    one = case("x", job("train", "good", "a"))
    write_record(one, one.jobs[0], Record(["good", "a"]))
    (one.folder / "a.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_record(one, one.jobs[0])


RUNNER = """
import sys
from tests.studies.test_runner import case, job, run
run([case("x", job("train", "wait", "a"))])
"""


def test_after_kill_9_the_processes_end_and_the_job_runs_again() -> None:
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen([sys.executable, "-c", RUNNER], env={"PYTHONPATH": root, "OMP_NUM_THREADS": "1"})
    end = time.monotonic() + 100
    while not ran() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    one = case("x", job("train", "wait", "a"))
    record = json.loads((one.folder / "a.json").read_text())
    assert record["exit_code"] is None
    again = case("x", Job("train", "a", ["good", "a"]))
    run([again])
    assert ran() == ["wait a", "good a"]
    assert all("wait" not in line for line in processes())  # its standard input came to its end


def processes() -> list[str]:
    """The command lines of the program's processes that run in this folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cwd").resolve() == Path.cwd():
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found
