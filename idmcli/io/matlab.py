"""Variables of MATLAB files of version 5, read in a process of their own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from idmcli.io.extras import optional

_READ = """
import pickle, sys
from scipy.io import loadmat
path, name = sys.argv[1:]
try:
    value = loadmat(path, variable_names=[name], simplify_cells=True)[name]
except Exception as error:
    sys.exit(str(error) or type(error).__name__)
pickle.dump(value, sys.stdout.buffer, protocol=5)
"""


def load_variable(path: Path, name: str) -> Any:
    """One variable, as arrays and dictionaries.

    SciPy's compiled reader can crash on a damaged file. In a process of its own that ends the process alone.

    Args:
        path: the file.
        name: of the variable.

    Raises:
        InputError: SciPy is not installed.
        ValueError: the file is damaged, or the variable is no array.
    """
    optional("scipy.io", "MATLAB files")
    done = subprocess.run([sys.executable, "-c", _READ, str(path.absolute()), name], capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(said[-1] if done.returncode == 1 and said else "it is damaged")
    return pickle.loads(done.stdout)
