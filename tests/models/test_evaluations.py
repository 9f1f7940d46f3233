"""How often networks are called."""

from __future__ import annotations

import pytest
import torch
from idmcli.experiment import Case, solve
from idmcli.library import Library
from torch import nn

from idmcli.config import SolverConfig
from idmcli.models.evaluations import Evaluations
from idmcli.operators import CompressedSensing
from tests.small import camera

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("method", "options", "calls"),
    [
        ("pinv", {}, 0),
        ("tikhonov", {}, 0),
        ("ddnm", {"steps": 3}, 3),
        ("pigdm", {"steps": 3}, 3),  # a gradient is no call
        ("vamp", {"iterations": 3}, 3),
        ("daps", {"steps": 2, "ode_steps": 2}, 4),
        ("idm", {}, 11),  # six steps, five of them with a probe of the divergence
    ],
)
def test_a_method_takes_as_many_as_it_says(method: str, options: dict[str, int], calls: int) -> None:
    x = camera(16)
    operator = CompressedSensing((1, 16, 16), 0.5, block=8)
    case = Case(operator, operator.A(x), truth=x)
    library = Library(CPU, precision="float32")
    ready = library.method(method, operator, None, SolverConfig(options=options))
    assert [solve(case, ready).evaluations for _ in range(2)] == [calls, calls]
    if method == "ddnm":
        assert solve(case, ready, samples=2).evaluations == 2 * calls


def test_an_ensemble_takes_eight_times_as_many() -> None:
    x = camera(16)
    operator = CompressedSensing((1, 16, 16), 0.5, block=8)
    library = Library(CPU, precision="float32", ensemble=True)
    ready = library.method("ddnm", operator, None, SolverConfig(options={"steps": 2}))
    assert solve(Case(operator, operator.A(x)), ready).evaluations == 16


def test_of_other_networks_the_whole_counts() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(2, 1, 3)))
    evaluations = Evaluations()
    evaluations.watch(network)
    network(torch.zeros(5, 1, 8, 8))
    assert evaluations.count == 1
