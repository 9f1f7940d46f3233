"""The common interface of all learned models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from idmcli.errors import ConfigError


class Learned(nn.Module):
    """A model with weights that were, or will be, trained.

    Attributes:
        kind: its name in :data:`idmcli.plugins.MODELS` and in weights files.
        config: the dataclass that builds it.
        trained_for: {"task": its kind, "operator": its options, "channels": of the images, "domain": what they show};
            None if it is not known.
        training_record: how it was trained, for the record.
    """

    kind: ClassVar[str]
    config: Any
    trained_for: dict[str, Any] | None = None
    training_record: dict[str, Any] = {}

    def average_over_turns(self) -> None:
        """Take the mean over all flips and quarter turns wherever the network is called, from now on.

        Raises:
            ConfigError: this kind of model cannot.
        """
        raise ConfigError(f"--ensemble does nothing for a model of kind {self.kind}", "leave out --ensemble")


def purpose_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The purpose of a network that was trained by a configuration, given as a dictionary."""
    task = config["task"]
    channels, domain = task["channels"] or 1, task.get("domain")
    return {"task": task["kind"], "operator": config["operator"], "channels": channels, "domain": domain}
