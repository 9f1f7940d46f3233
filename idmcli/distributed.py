"""The processes that work together, as torchrun starts them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TypeVar

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from idmcli.errors import ConfigError, IdmError, ReportedElsewhere, ResourceError

T = TypeVar("T")
MEETING = timedelta(minutes=5)
PATIENCE = timedelta(days=1)  # one may work for long while the others wait; that it ended is known at once
LOST = ("gloo", "NCCL", "Connection reset by peer", "Connection closed by peer", "Broken pipe")


@dataclass(frozen=True)
class Processes:
    """The processes of one command, seen from one of them. Without ``torchrun`` there is one.

    Attributes:
        rank: the number of this process, 0 .. size - 1; process 0 alone writes files and messages.
        size: how many there are, on all machines.
        device: where this one computes.
        neighbours: how many there are on this machine.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    neighbours: int = 1

    @classmethod
    def of_environment(cls, device: torch.device, environment: Mapping[str, str]) -> Processes:
        """As ``torchrun`` describes it, one GPU for each process; without ``torchrun`` a single process.

        Raises:
            ConfigError: ``torchrun`` did not set the environment, or the machine has fewer GPUs than processes.
        """
        names = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
        try:
            rank, size, local, neighbours = (int(environment.get(name, default)) for name, default in names.items())
        except ValueError:
            raise ConfigError(
                f"{', '.join(names)} are not all whole numbers in the environment", "unset them, or use torchrun"
            ) from None
        if device.type == "cuda" and size > 1:
            if neighbours > (found := torch.cuda.device_count()):
                raise ConfigError(
                    f"{neighbours} processes on this machine cannot have a GPU each, it has {found}",
                    f"start torchrun with --nproc_per_node={found}, or take --device cpu",
                )
            device = torch.device("cuda", local)
        return cls(device, rank, size, neighbours)

    @property
    def leads(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def crops(self, iteration: int, batch: int, part: int = 0, parts: int = 1) -> range:
        """The numbers of this process's crops in one of the equal parts that it computes an iteration in.

        The parts of all processes together are the batch. ``batch`` is as :meth:`check` accepts it.
        """
        count = batch // (self.size * parts)
        first = iteration * batch + (self.rank * parts + part) * count
        return range(first, first + count)

    def check_batch(self, batch: int, parts: int) -> None:
        """Refuse a batch that cannot be shared.

        Raises:
            ConfigError: it is no multiple of the number of processes times the parts that each computes it in.
        """
        if batch % (self.size * parts):
            in_parts = f" in {parts} parts each" if parts > 1 else ""
            raise ConfigError(
                f"training.batch = {batch} cannot be shared by {self.size} processes{in_parts}",
                f"make it a multiple of {self.size * parts}",
            )

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Connect the processes for a block.

        Raises:
            ConfigError: ``torchrun`` did not set the environment.
            ResourceError: they do not find each other, or another one ends early.
        """
        if self.size == 1:
            yield
            return
        # DistributedDataParallel imports this. Imported while the processes are connected it keeps their group for
        # good, and a thread of the group that is still busy when Python ends aborts the process.
        import_module("torch._dynamo")
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.set_device(self.device)
        try:
            store, rank, size = next(rendezvous("env://", timeout=MEETING))
        except ValueError as error:
            raise ConfigError(
                f"WORLD_SIZE = {self.size} is set, but the rest of torchrun's environment is missing",
                "start the command with torchrun, or unset WORLD_SIZE",
            ) from error
        except distributed.DistError as error:
            raise ResourceError(
                f"process {self.rank} does not find the others", "check torchrun's --rdzv_endpoint and the network"
            ) from error
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
        try:
            yield
        except RuntimeError as error:
            if not any(word in str(error) for word in LOST):
                raise
            raise ResourceError(
                f"process {self.rank} lost the connection to the others",
                "one of them ended, and may have said why; continue a training with --resume",
            ) from error
        finally:
            distributed.destroy_process_group()

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank, in each of them."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]

    def exchange(self, numbers: Sequence[float]) -> list[list[float]]:
        """:meth:`gathered` for equally many numbers of each process, at the cost of one small message."""
        if self.size == 1:
            return [list(numbers)]
        own = torch.tensor(numbers, dtype=torch.float64)
        rows = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(rows, own)
        return [row.tolist() for row in rows]

    def barrier(self) -> None:
        """Until all processes have come here."""
        self.exchange([0.0])

    @contextmanager
    def failing_together(self) -> Iterator[None]:
        """An error that one process raises in the block ends all of them, and the first tells it.

        Raises:
            IdmError: of the first process that raised one; in the others it is one that is told elsewhere.
        """
        failure = None
        try:
            yield
        except IdmError as error:
            if self.size == 1:
                raise
            failure = error
        first = next(((rank, found) for rank, found in enumerate(self.gather(failure)) if found), None)
        if first is not None:
            rank, found = first
            raise self.reported_once(
                type(found)(f"process {rank}: {found.message}" if rank else found.message, found.hint)
            )

    def reported_once(self, failure: BaseException) -> BaseException:
        """The error to raise for a failure of all processes, so that the first alone tells it."""
        if self.leads:
            return failure
        code = failure.exit_code if isinstance(failure, IdmError) else getattr(failure, "code", 130)
        return ReportedElsewhere(code)
