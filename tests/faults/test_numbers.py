"""That none of the 25 faults of the specification is without a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TRAINING = {  # what concerns `idm train` is tested with it
    7: "cli/test_train.py::test_errors_before_any_training",
    16: "models/test_checkpoints.py::test_tensors_that_do_not_fit_their_configuration",
    19: "training/test_run_folder.py::test_a_full_disk_leaves_the_old_checkpoint",
    20: "training/test_loop.py::test_kill_minus_nine_at_any_moment_then_resume",
    21: "cli/test_train.py::test_a_signal_saves_and_the_run_resumes_to_the_same_weights",
    23: "training/test_loop.py::test_a_diverged_run_stops_with_its_checkpoint_intact",
    24: "cli/test_train.py::test_two_processes_in_one_folder",
    25: "cli/test_train.py::test_training_outlives_its_terminal",
}


def docstrings() -> list[str]:
    """Of every test of faults."""
    found = []
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append(ast.get_docstring(node) or "")
    return found


def test_every_fault_has_a_test() -> None:
    text = "\n".join(line for line in docstrings())
    named = {int(number) for number in re.findall(r"#(\d+)", text)}
    assert named == set(range(1, 26))


@pytest.mark.parametrize("place", TRAINING.values())
def test_those_of_training_are_tested_with_training(place: str) -> None:
    path, name = place.split("::")
    assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")
