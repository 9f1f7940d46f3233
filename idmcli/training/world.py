"""The processes that train together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from idmcli.errors import ConfigError


@dataclass(frozen=True)
class World:
    """The processes of one training, seen from one of them.

    Attributes:
        rank: the number of this process, 0 .. size - 1; process 0 alone writes files and messages.
        size: how many there are.
        device: where this one computes.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @classmethod
    def of_environment(cls, device: torch.device, environment: Mapping[str, str]) -> World:
        """As ``torchrun`` describes it, one GPU for each process; without ``torchrun`` a single process."""
        names = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
        try:
            rank, size, local = (int(environment.get(name, default)) for name, default in names.items())
        except ValueError:
            raise ConfigError(
                f"{', '.join(names)} are not all whole numbers in the environment", "unset them, or use torchrun"
            ) from None
        shared = device.type == "cuda" and size > 1
        return cls(torch.device("cuda", local) if shared else device, rank, size)

    @property
    def writes(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def share(self, iteration: int, batch: int) -> range:
        """The numbers of this process's crops in an iteration; those of all processes together are the batch.

        Raises:
            ConfigError: the batch cannot be divided by the number of processes.
        """
        if batch % self.size:
            raise ConfigError(
                f"training.batch = {batch} cannot be shared by {self.size} processes",
                "make it a multiple of their number",
            )
        count = batch // self.size
        first = iteration * batch + self.rank * count
        return range(first, first + count)
