"""Processes that prepare data ahead of time: PyTorch's DataLoader, in order and without surprises."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

import torch
from torch.utils.data import DataLoader, Dataset

from idmcli.errors import IdmError, ResourceError

S = TypeVar("S")
T = TypeVar("T")
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def default_workers(processes: int = 1) -> int:
    """How many workers each of so many processes of a machine gets: a CPU core each, at most four."""
    return max(1, min(4, (os.cpu_count() or 1) // processes))


def in_workers(
    function: Callable[[S], T], inputs: Sequence[S], workers: int, *, pin: bool = False
) -> Generator[T, None, None]:
    """``function`` of each input, in order, computed by so many processes ahead of time; in this one for 0.

    Close the iterator where it is not read to its end: the processes end with it.

    Args:
        function: gives tensors, or what can be pickled.
        inputs: any number of them.
        workers: processes; each is two results ahead.
        pin: put tensors into page-locked memory, for a GPU.

    Raises:
        IdmError: of the function.
        ResourceError: a process was killed, by the system for want of memory for example.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there are more processes than cores
        loader = DataLoader(
            cast(Dataset[T], _Mapped(function, inputs)),
            batch_size=None,
            sampler=range(len(inputs)),
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=pin,
            worker_init_fn=_serve,
            multiprocessing_context=_fork() if workers else None,
            generator=torch.Generator(),  # what it draws is not used
        )
    iterator = iter(loader)
    try:
        for found in iterator:
            if isinstance(found, _Failure):
                raise found.error
            yield found
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ResourceError(
            "a process that prepares data was killed", "lower training.workers or training.cache, and use --resume"
        ) from error
    finally:
        del iterator  # ends the processes


class _Failure(NamedTuple):
    """The answer of a worker: an error that is raised in it would come with a traceback for a message."""

    error: IdmError


class _Mapped(Generic[S, T]):
    """A function's results, by the number of the input."""

    def __init__(self, function: Callable[[S], T], inputs: Sequence[S]) -> None:
        self._function, self._inputs = function, inputs

    def __getitem__(self, index: int) -> T | _Failure:
        try:
            return self._function(self._inputs[index])
        except IdmError as error:
            return _Failure(error)


def _as_it_is(found: T) -> T:
    return found


def _fork() -> Any:
    """Forked processes share the pictures in memory."""
    return multiprocessing.get_context("fork")


def _serve(worker: int) -> None:
    """A worker leaves signals to the process it works for, and never outlives it: it would hold the run's lock."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
