"""One command in several processes, as torchrun starts them: the first speaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from idmcli.cli.options import choose_device
from idmcli.errors import ToldElsewhere
from idmcli.output import Output

if TYPE_CHECKING:
    from idmcli.training.world import World


def mute_followers(output: Output) -> None:
    """Have every process but the first of several be silent."""
    several = os.environ.get("WORLD_SIZE", "1") != "1"
    output.muted = several and os.environ.get("RANK", "0") != "0"


@contextmanager
def processes(output: Output, device: str, threads: int | None) -> Iterator[World]:
    """The processes of this command, connected for a block. What ends one of them alone is told by itself.

    Raises:
        InputError: the device is not there, or the environment is not that of torchrun.
        ResourceError: the processes do not find each other, or another one ends early.
    """
    from idmcli.training.world import World

    world = World.of_environment(choose_device(device, threads), os.environ)
    try:
        with world.joined():
            yield world
    except (ToldElsewhere, KeyboardInterrupt, SystemExit):
        raise
    except Exception:
        output.muted = False
        raise
