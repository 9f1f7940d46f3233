"""Tasks by name: each says how to measure, how much that is, and which options belong to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from idmcli import solvers, tasks
from idmcli.config import check_value, load_config, sections_of
from idmcli.errors import ConfigError, InputError
from idmcli.methods import defaults_of
from idmcli.models import shipped_weights
from idmcli.models.checkpoints import save_weights
from idmcli.models.csnet_plus import CSNetPlus
from idmcli.models.sampling_network import SamplingConfig
from idmcli.operators import build_operator
from tests.small import NONLINEAR, OPERATORS, picture

FILES = {"matrix": {"matrix_file": "phi.npy"}, "learned": {"weights_file": "network.safetensors"}}  # that tasks need
EVERY = pytest.mark.parametrize("task", [tasks.find(kind) for kind in tasks.kinds()], ids=tasks.kinds())
SHAPE = (1, 18, 21)


@pytest.fixture(autouse=True, scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A working folder with the files that tasks need."""
    folder = tmp_path_factory.mktemp("files")
    np.save(folder / "phi.npy", np.random.default_rng(0).standard_normal((40, 18 * 21)))
    save_weights(folder / "network.safetensors", CSNetPlus(SamplingConfig(ratio=0.1)), training={})
    with contextlib.chdir(folder):
        yield


def options_of(task: tasks.Task[Any]) -> Any:
    return task.options(**FILES.get(task.kind, {}))


@EVERY
def test_a_task_has_the_name_of_its_module_and_makes_its_operators(task: tasks.Task[Any]) -> None:
    operator = task.operator(options_of(task), SHAPE, "a.png")
    assert task.kind == operator.kind == task.operator_type().kind
    assert type(operator) is task.operator_type() and tasks.find(operator.kind) is task
    assert operator.image_shape == SHAPE
    assert task.summary and "\n" not in task.summary


@EVERY
def test_the_defaults_of_every_option_are_valid(task: tasks.Task[Any]) -> None:
    for option in fields(task.options):
        assert check_value(task.options, option.name, option.default) == (option.default, "")
    assert not task.conflicts(options_of(task))


@EVERY
def test_every_channel_count_is_measured_alike(task: tasks.Task[Any]) -> None:
    for channels in task.channels:
        operator = task.operator(options_of(task), (channels, 18, 21), "a.png")
        x = torch.rand(1, channels, 18, 21)
        alone = task.operator(options_of(task), (1, 18, 21), "a.png")
        y, first = operator.A(x).view(1, channels, -1), alone.A(x[:, :1]).view(1, 1, -1)
        torch.testing.assert_close(y[:, :1], first)
        assert task.amount(operator) == pytest.approx(task.amount(alone))


@EVERY
def test_what_training_varies_is_valid_and_repeatable(task: tasks.Task[Any]) -> None:
    for options in (options_of(task), *task.validation(options_of(task))):
        one, again = (task.vary(options, np.random.default_rng(1)) for _ in range(2))
        assert one == again and not task.conflicts(one)
        for option in fields(task.options):
            assert check_value(task.options, option.name, getattr(one, option.name))[1] == ""


@EVERY
def test_the_default_method_runs_out_of_the_box(task: tasks.Task[Any]) -> None:
    operator = task.operator(options_of(task), SHAPE, "a.png")
    defaults = defaults_of(operator)
    for noise in (0.0, 0.02):
        best = [solvers.find(name) for name in defaults.best(operator, noise)]
        assert defaults.method(operator, noise) == best[0].name
        assert "prior" in {solver.weights for solver in best}
        for solver in best:
            assert not solvers.why_not(solver, operator)
            assert solver.weights is None or shipped_weights(defaults.weights[solver.weights]).is_file()


@pytest.mark.parametrize("operator", (OPERATORS | NONLINEAR).values(), ids=OPERATORS | NONLINEAR)
def test_specifications_find_their_task(operator: Any) -> None:
    again = build_operator(operator.to_spec(), operator.arrays())
    assert torch.equal(again.A(picture(operator)), operator.A(picture(operator)))
    assert tasks.amount(again) == tasks.amount(operator)


def test_unknown_kinds() -> None:
    with pytest.raises(LookupError):
        tasks.find("masks")  # a module of the folder, but no task
    with pytest.raises(InputError, match="the operator kind is 'cone'") as caught:
        build_operator({"kind": "cone"})
    assert all(kind in caught.value.hint for kind in tasks.kinds())


@pytest.mark.parametrize("kind", tasks.kinds())
def test_keys_of_another_task_are_errors_that_say_whose_they_are(kind: str) -> None:
    own = {option.name for option in fields(tasks.find(kind).options)}
    others = {option.name for other in tasks.kinds() for option in fields(tasks.find(other).options)} - own
    assert others
    for key in others:
        with pytest.raises(ConfigError, match=f"operator.{key} is for task .*, and the task is {kind}, which has seed"):
            load_config(overrides=[f"task.kind={kind}", f"operator.{key}=1"])
    needed = [f"operator.{key}='{name}'" for key, name in FILES.get(kind, {}).items()]
    assert set(sections_of(load_config(overrides=[f"task.kind={kind}", *needed]).config)["operator"]) == own


def test_options_load_without_the_numerics() -> None:
    """So that `idm --help` and errors in a configuration are quick."""
    import subprocess
    import sys

    script = "import sys; from idmcli import tasks; [tasks.find(k).options() for k in tasks.kinds()]; "
    done = subprocess.run([sys.executable, "-c", script + "print('torch' in sys.modules)"], capture_output=True)
    assert done.stdout == b"False\n", done.stderr


def test_all_kinds_have_small_operators() -> None:
    assert {operator.kind for operator in (OPERATORS | NONLINEAR).values()} | FILES.keys() == set(tasks.kinds())
