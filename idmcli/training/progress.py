"""The state of a run beside its weights: how far it is, what its next log line is about, and which loss is usual."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

RATE = 0.02  # of the running means, which are over some 50 iterations
OUTLIER = 10  # mean deviations above the mean


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        done: iterations.
        losses, scores: of the iterations since the last log line that moved the weights.
        norms: of their gradients before clipping, for each group of parameters.
        seconds: since that line, in all processes that the run was continued in.
        waited: of these, without data.
        usual: the running mean of the loss; None before the first.
        spread: the running mean of the distance from it.
    """

    done: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    norms: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0
    usual: float | None = None
    spread: float = 0.0

    def add(self, loss: float, score: float, norms: Mapping[str, float]) -> None:
        """Take an iteration that moved the weights. One that is no usual one counts as the largest that would be."""
        self.losses.append(loss)
        self.scores.append(score)
        for name, norm in norms.items():
            self.norms.setdefault(name, []).append(norm)
        if self.usual is None:
            self.usual = loss
            return
        distance = min(loss, self._most(self.usual)) - self.usual
        self.usual += RATE * distance
        self.spread += RATE * (abs(distance) - self.spread)

    def is_usual(self, loss: float) -> bool:
        """Whether a loss is finite and not far above the running mean: the weights that gave it are sound."""
        return math.isfinite(loss) and (self.usual is None or loss <= self._most(self.usual))

    def start_line(self) -> None:
        """Begin with the next log line."""
        self.losses, self.scores, self.norms, self.seconds, self.waited = [], [], {}, 0.0, 0.0

    def gradients(self) -> dict[str, float]:
        """Root mean square of the gradients' norms since the last log line, for each group of parameters."""
        return {name: math.hypot(*norms) / math.sqrt(len(norms)) for name, norms in self.norms.items()}

    def _most(self, usual: float) -> float:
        return usual + OUTLIER * max(self.spread, abs(usual) / OUTLIER)
