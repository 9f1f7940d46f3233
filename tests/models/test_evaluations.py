"""How often networks are called."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from idmcli.config import SolverConfig
from idmcli.measuring import Measurement
from idmcli.methods import Methods, solve
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
        ("idm", {}, 10),  # its steps
    ],
)
def test_a_method_takes_as_many_as_it_says(method: str, options: dict[str, int], calls: int) -> None:
    x = camera(16)
    operator = CompressedSensing((1, 16, 16), 0.5, block=8)
    m = Measurement(operator, operator.A(x)[0], truth=x[0])
    methods = Methods(CPU, precision="float32")
    ready = methods.method(method, operator, None, SolverConfig(options=options))
    assert [solve(m, ready).evaluations for _ in range(2)] == [calls, calls]
    if method == "ddnm":
        assert solve(m, ready, samples=2).evaluations == 2 * calls


def test_an_ensemble_takes_eight_times_as_many() -> None:
    x = camera(16)
    operator = CompressedSensing((1, 16, 16), 0.5, block=8)
    methods = Methods(CPU, precision="float32", ensemble=True)
    ready = methods.method("ddnm", operator, None, SolverConfig(options={"steps": 2}))
    assert solve(Measurement(operator, operator.A(x)[0]), ready).evaluations == 16


def test_of_other_networks_the_whole_counts() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(2, 1, 3)))
    evaluations = Evaluations()
    evaluations.watch(network)
    network(torch.zeros(5, 1, 8, 8))
    assert evaluations.count == 1
