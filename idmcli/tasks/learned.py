"""The sampling that a network has learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from idmcli.errors import ConfigError, InputError
from idmcli.tasks.base import Amount, OperatorOptions, Shape, Task

if TYPE_CHECKING:
    from idmcli.operators import LearnedSampling


@dataclass(frozen=True)
class LearnedOptions(OperatorOptions):
    """[operator] of task learned."""

    weights_file: str | None = None  # weights of the network whose sampling is used; not set: the trained network


class LearnedTask(Task[LearnedOptions]):
    """The matrix comes from the weights of a network that measures and reconstructs."""

    kind = "learned"
    summary = "the sampling that a network has learned together with its reconstruction"
    options = LearnedOptions
    preset = "rk-ccsnet"

    def operator_type(self) -> type[LearnedSampling]:
        from idmcli.operators import LearnedSampling

        return LearnedSampling

    def operator(self, options: LearnedOptions, image_shape: Shape, item: str) -> LearnedSampling:
        from idmcli.models import SamplingNetwork, load_weights

        if options.weights_file is None:
            raise ConfigError("no network says how to measure", "name its file with --weights")
        try:
            network = load_weights(options.weights_file)
        except InputError as error:
            raise ConfigError(error.message, error.hint) from error
        if not isinstance(network, SamplingNetwork):
            raise ConfigError(
                f"{options.weights_file!r} is of kind {network.kind}, which has no sampling of its own",
                "name the weights of an rk-ccsnet or a csnet-plus, or another task",
            )
        return network.operator(image_shape)

    def amount(self, operator: LearnedSampling) -> Amount:
        return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % measurements per pixel")


TASK = LearnedTask()
