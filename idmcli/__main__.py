"""``python -m idmcli`` is ``idm``."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs


def main() -> int:
    """Run ``idm``, see :func:`idmcli.cli.main`; an interrupt while it loads, or one more while it ends, is quiet."""
    sys.unraisablehook = _unraisable
    try:
        from idmcli.allocator import keep_large_blocks

        keep_large_blocks()
        from idmcli.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130
    finally:
        if signal.getsignal(signal.SIGINT) is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _unraisable(failure: UnraisableHookArgs) -> None:
    """An interrupt that Python cannot raise where it came, in a destructor for example, ends the process at once."""
    if isinstance(failure.exc_value, KeyboardInterrupt):
        os._exit(130)
    sys.__unraisablehook__(failure)


if __name__ == "__main__":
    sys.exit(main())
