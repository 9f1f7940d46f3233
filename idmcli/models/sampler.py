"""The wired T-step sampler: an invertible diffusion model as one reconstruction network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from idmcli.errors import InputError
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.network import Network
from idmcli.models.steps import MatchedStep, PaperStep, SplittingStep, Start
from idmcli.operators import LinearOperator, Problem
from idmcli.reversible.coupling import Coupling
from idmcli.reversible.engine import Memory
from idmcli.reversible.plan import Plan, named_plan

Rule = Literal["paper", "matched", "splitting"]
OLD_NAMES = {  # of the parameters that rules now have
    "alpha": "rule.alpha",
    "log_gain": "rule.log_gain",
    "over": "rule.over",
    "memory": "rule.correction",
    "renoise": "rule.renoise",
}


@dataclass(frozen=True)
class SamplerConfig:
    """Shape of an :class:`InvertibleDiffusion`.

    Attributes:
        denoiser: the noise estimator; ``denoiser.unet.steps`` is T.
        rule: of a step: "paper", with T learned alphas; "matched" to message passing, where the noise level is
            read off the measurements; or half-quadratic "splitting" with learned noise levels.
        v: initial mixing weight of the first-level couplings.
        start: the first image of the rule "splitting".
        levels: its noise levels before training, of the first step and of the last.
    """

    denoiser: DenoiserConfig
    rule: Rule = "paper"
    v: float = 0.5
    start: Start = "least-squares"
    levels: tuple[float, float] = (0.6, 0.006)

    def build_rule(self) -> PaperStep | MatchedStep | SplittingStep:
        """The rule of the steps, untrained."""
        steps = self.denoiser.unet.steps
        match self.rule:
            case "paper":
                return PaperStep(steps)
            case "matched":
                return MatchedStep(steps)
            case "splitting":
                return SplittingStep(steps, self.levels, self.start)


class InvertibleDiffusion(Network):
    """Reconstructs x from y = A x by T coupled sampling steps over one U-Net.

    The rule of the steps is F_t of the couplings (Eq. 4):
    ``x_{t-1} = (1 - v_t) F_t(x_t) + v_t h_t``, ``h_{t-1} = x_t``, from the rule's start x_T and
    ``h_T = w_T x_T`` to the result ``x_0 + w_0 h_0``.
    """

    kind = "idm"
    parameter_group = "couplings"  # the scales of the streams
    config: SamplerConfig

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__()
        steps = config.denoiser.unet.steps
        self.config = config
        self.rule = config.build_rule()
        self.denoiser = Denoiser(config.denoiser)
        self.couplings = nn.ModuleList(Coupling(config.v) for _ in range(steps))
        self.start_scale = nn.Parameter(torch.ones(()))  # w_T
        self.end_scale = nn.Parameter(torch.zeros(()))  # w_0
        self.register_load_state_dict_pre_hook(_rename_)  # type: ignore[no-untyped-call]

    def average_over_turns(self) -> None:
        self.denoiser.ensemble = True

    def forward(self, y: Tensor, operator: LinearOperator, plan: Plan | None = None, noise: float = 0.0) -> Tensor:
        if operator.complex_image:
            raise InputError("this network reconstructs real images, not complex ones", "use --method tikhonov or tv")
        problem = Problem(operator, y, noise).centred(self.denoiser.mean)
        x = self.rule.start(problem)
        h = self.start_scale * x
        plan = plan or named_plan("plain", len(self.couplings))
        for step, (coupling, kept) in enumerate(zip(self.couplings, plan, strict=True)):
            advance = partial(coupling, partial(self.step, problem, step, memory=kept.network))
            if kept.image_only and torch.is_grad_enabled():
                x, h = checkpoint(advance, x, h, use_reentrant=False)
            else:
                x, h = advance(x, h)
        return problem.image(self.rule.end(problem, x + self.end_scale * h))

    def step(self, problem: Problem, step: int, x_t: Tensor, memory: Memory = "plain") -> Tensor:
        """F_t: the state before step ``step`` (0 first) to the state after it, without the wiring."""
        f: Tensor = self.rule(self.denoiser, problem, step, x_t, memory)
        return f


def renamed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict whose rule's parameters may have their old names."""
    return {OLD_NAMES.get(name, name): tensor for name, tensor in tensors.items()}


def _rename_(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """:func:`renamed` for whatever is loaded into a model, such as the checkpoint of an old run."""
    for old in OLD_NAMES.keys() & {key.removeprefix(prefix) for key in state if key.startswith(prefix)}:
        state[prefix + OLD_NAMES[old]] = state.pop(prefix + old)
