"""One command in several processes, as torchrun starts them: the first speaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from idmcli.cli.output import Output
from idmcli.devices import choose_device
from idmcli.errors import ReportedElsewhere

if TYPE_CHECKING:
    from idmcli.distributed import Processes


def mute_followers(output: Output) -> None:
    """Have every process but the first of several be silent."""
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    output.muted = several and os.environ.get("RANK", "0") != "0"


@contextmanager
def connected_processes(output: Output, device: str, threads: int | None) -> Iterator[Processes]:
    """The processes of this command, connected for a block. A process that fails alone prints its own error.

    Raises:
        InputError: the device is not there, or torchrun did not set the environment.
        ResourceError: the processes do not find each other, or another one ends early.
    """
    from idmcli.distributed import Processes

    processes = Processes.of_environment(choose_device(device, threads), os.environ)
    try:
        with processes.connected():
            yield processes
    except (ReportedElsewhere, KeyboardInterrupt, SystemExit):
        raise
    except Exception:
        output.muted = False
        raise
