"""``python -m idmcli.cli.child ARGUMENTS``: the command ``idm``, stopped when the process that started it is gone.

Its standard input is a pipe that nobody writes to: at its end the other process has ended, however that happened.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from idmcli.cli import main


def _stop_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # a training saves first


if __name__ == "__main__":
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    sys.exit(main())
