"""Variables of MATLAB files: as SciPy wrote them, and damaged ones that crash its reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from idmcli.io import matlab
from idmcli.io.matlab import load_variable


def test_arrays_and_structures_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"y": np.arange(6.0).reshape(2, 3), "s": {"angles": np.arange(3.0), "unit": "degree"}})
    assert np.array_equal(load_variable(path, "y"), np.arange(6.0).reshape(2, 3))
    found = load_variable(path, "s")
    assert found["unit"] == "degree" and np.array_equal(found["angles"], np.arange(3.0))


def test_a_crash_of_the_reader_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy's reader ends by a signal on some damaged files."""
    monkeypatch.setattr(matlab, "_READ", "import os; os.abort()")
    with pytest.raises(ValueError, match="it is damaged"):
        load_variable(tmp_path / "a.mat", "y")


def test_a_missing_variable_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"y": np.ones(3)})
    with pytest.raises(ValueError, match="z"):
        load_variable(path, "z")
