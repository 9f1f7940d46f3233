"""``idm tasks``, and what is completed: the options of measurements are listed."""

from __future__ import annotations

import json

import pytest

from idmcli import tasks
from idmcli.cli import main
from idmcli.cli.options import complete_settings
from idmcli.config import keys_of
from idmcli.config.meanings import meanings

Capture = pytest.CaptureFixture[str]


def test_every_task_is_listed_with_all_its_options(capsys: Capture) -> None:
    assert main(["tasks", "--json"]) == 0
    found = {result["name"]: result for result in json.loads(capsys.readouterr().out)["results"]}
    assert list(found) == list(tasks.kinds())
    for kind, result in found.items():
        assert list(result["options"]) == list(keys_of(tasks.find(kind).options))
        for key, option in result["options"].items():
            assert option["text"], f"operator.{key} of {kind} is not explained"
        assert result["preset"] or kind == "matrix"


def test_one_task_with_defaults_and_choices(capsys: Capture) -> None:
    assert main(["tasks", "sr"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("sr\n") and "operator.factor = 4" in out and "bicubic | average" in out
    assert "inpainting" not in out


@pytest.mark.parametrize("kind", tasks.kinds())
def test_what_is_listed_can_be_typed(kind: str, capsys: Capture) -> None:
    defaults = {key: meaning.default for key, meaning in meanings(tasks.find(kind).options).items()}
    given = [f"--set=operator.{key}={json.dumps(value)}" for key, value in defaults.items() if value is not None]
    code = main(["sense", "any", f"--set=task.kind={kind}", *given, "--print-config"])
    err = capsys.readouterr().err
    assert code == 0 or (kind == "matrix" and "operator.matrix_file is not set (default): " in err), err


def test_an_unknown_task(capsys: Capture) -> None:
    assert main(["tasks", "xray"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: there is no task 'xray'\nhint: the tasks are cs, ")


def test_the_keys_of_set_are_completed() -> None:
    assert complete_settings("operator.photo") == ["operator.photons="]
    assert "solver.iterations=" in complete_settings("solver.i") and "model.steps=" in complete_settings("model.")
    assert {key.partition(".")[0] for key in complete_settings("")} == {
        "task",
        "operator",
        "solver",
        "model",
        "training",
    }
    assert complete_settings("nothing") == []
