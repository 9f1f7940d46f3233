"""RK-CCSNet (Zheng et al., ECCV 2020), on measurements by its own sampling."""

from __future__ import annotations

from idmcli.solvers import Solver
from idmcli.solvers.idm import by_network

SOLVER = Solver(
    "rk-ccsnet",
    "network with learned convolutional sampling (Zheng et al., 2020), also reversible and with injectors",
    by_network,
    needs=frozenset({"rk-ccsnet", "linear", "real"}),
    meets=frozenset({"range"}),
)
