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
from idmcli.models.injector import Injection
from idmcli.models.network import Network
from idmcli.models.steps import MatchedStep, PaperStep, SplittingStep, Start
from idmcli.models.turns import TURNS
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
        carry: images of features, for each channel, that the network hands from step to step beside the image.
    """

    denoiser: DenoiserConfig
    rule: Rule = "paper"
    v: float = 0.5
    start: Start = "least-squares"
    levels: tuple[float, float] = (0.6, 0.006)
    carry: int = 0

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

    Carried features are part of the states x and h, so that the couplings hand them on and invert them too: a state is
    (B, C (1 + carry), H, W), each channel of the image followed by its features. They start at zero.
    """

    kind = "idm"
    parameter_group = "couplings"  # the scales of the streams
    config: SamplerConfig

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__()
        steps = config.denoiser.unet.steps
        self.config = config
        self.rule = config.build_rule()
        self.denoiser = Denoiser(config.denoiser, inputs=1 + config.carry, outputs=1 + config.carry)
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
        x = self.start(problem)
        h = self.start_scale * x
        plan = plan or named_plan("plain", len(self.couplings))
        for step, (coupling, kept) in enumerate(zip(self.couplings, plan, strict=True)):
            advance = partial(coupling, partial(self.step, problem, step, memory=kept.network))
            if kept.image_only and torch.is_grad_enabled():
                x, h = checkpoint(advance, x, h, use_reentrant=False)
            else:
                x, h = advance(x, h)
        image, _ = self._parts(x + self.end_scale * h)
        return problem.image(self.rule.end(problem, image))

    def start(self, problem: Problem) -> Tensor:
        """The state x_T: the rule's first image, and features of zero."""
        image = self.rule.start(problem)
        nothing = torch.zeros_like(image).unsqueeze(2).repeat(1, 1, self.config.carry, 1, 1)
        return _joined(image, nothing if self.config.carry else None)

    def step(self, problem: Problem, step: int, state: Tensor, memory: Memory = "plain") -> Tensor:
        """F_t: the state before step ``step`` (0 first) to the state after it, without the wiring."""
        image, features = self._parts(state)
        x_t, sigma = self.rule.noisy(problem, step, image)
        injection = Injection(step, problem.pinv, problem.range_projection)
        number = step % TURNS if self.rule.turning else 0
        found = self.denoiser.noise(_joined(x_t, features), sigma, injection, memory, number)
        e, features = self._parts(found)
        return _joined(self.rule.advance(problem, step, image, sigma, e), features)

    def _parts(self, state: Tensor) -> tuple[Tensor, Tensor | None]:
        """The image, (B, C, H, W), and its features, (B, C, carry, H, W); None if it carries none."""
        if not self.config.carry:
            return state, None
        images = state.view(len(state), -1, 1 + self.config.carry, *state.shape[2:])
        return images[:, :, 0], images[:, :, 1:]


def _joined(image: Tensor, features: Tensor | None) -> Tensor:
    """A state from its parts."""
    return image if features is None else torch.cat([image.unsqueeze(2), features], 2).flatten(1, 2)


def renamed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict whose rule's parameters may have their old names."""
    return {OLD_NAMES.get(name, name): tensor for name, tensor in tensors.items()}


def _rename_(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """:func:`renamed` for whatever is loaded into a model, such as the checkpoint of an old run."""
    for old in OLD_NAMES.keys() & {key.removeprefix(prefix) for key in state if key.startswith(prefix)}:
        state[prefix + OLD_NAMES[old]] = state.pop(prefix + old)
