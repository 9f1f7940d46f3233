"""Results as arrays: exact, with their record, the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.io.arrays import write_array
from idmcli.io.scale import Scale


def test_a_complex_result_is_kept_whole(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 2)).astype(np.float32).view(np.complex64)[..., 0]
    write_array(tmp_path / "a.npz", x, scale=Scale(0, 2, "mV"), provenance={"command": "idm é"})
    with np.load(tmp_path / "a.npz") as stored:
        assert stored["x"].dtype == np.complex64
        assert np.array_equal(stored["x"], 2 * x)
        record = json.loads(str(stored["record"]))
    assert record == {"scale": {"low": 0, "high": 2, "unit": "mV"}, "provenance": {"command": "idm é"}}
    first = (tmp_path / "a.npz").read_bytes()
    write_array(tmp_path / "a.npz", x, scale=Scale(0, 2, "mV"), provenance={"command": "idm é"})
    assert (tmp_path / "a.npz").read_bytes() == first


def test_another_suffix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be saved as"):
        write_array(tmp_path / "a.npy", np.zeros(3))
