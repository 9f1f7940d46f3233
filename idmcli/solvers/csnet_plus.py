"""CSNet+ (Shi et al., IEEE TIP 2019), on measurements by its own sampling."""

from __future__ import annotations

from idmcli.solvers import Solver
from idmcli.solvers.idm import by_network

SOLVER = Solver(
    "csnet-plus",
    "network with a learned matrix for blocks (Shi et al., 2019), also reversible and with injectors",
    by_network,
    needs=frozenset({"csnet-plus", "linear", "real"}),
    meets=frozenset({"range"}),
)
