"""``python -m idmcli`` is ``idm``."""

from __future__ import annotations

import sys

from idmcli.cli import main

if __name__ == "__main__":
    sys.exit(main())
