"""Arrays, matrices and tables from files: read as they are, or refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from idmcli.errors import InputError
from idmcli.io.formats import MAT, NPY, NPZ, TEXT, Numbers, format_of
from idmcli.io.items import Item

RNG = np.random.default_rng(3)
MATRIX = RNG.standard_normal((5, 7))
SPARSE = scipy.sparse.random(6, 9, 0.3, "csr", random_state=1)


def read(path: Path, number: int | None = None) -> Any:
    format = format_of(path)
    assert format is not None and format.gives is Numbers
    numbers = format.read(Item(path, number))
    assert isinstance(numbers, Numbers)
    return numbers.values


def refused(path: Path, number: int | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(path, number)
    assert "\n" not in caught.value.message and str(path) in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("values", [MATRIX, MATRIX.astype(np.float32), MATRIX > 0, MATRIX + 1j, np.arange(4)])
def test_arrays_of_numpy(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", values)
    for name in ("a.npy", "a.npz"):
        again = read(tmp_path / name)
        assert again.dtype == values.dtype and np.array_equal(again, values)


def test_several_arrays_are_items(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", phi=MATRIX, y=MATRIX[0], note=np.array("text"))
    assert NPZ.items(tmp_path / "a.npz") == [Item(tmp_path / "a.npz", number) for number in (1, 2)]
    assert np.array_equal(read(tmp_path / "a.npz", 2), MATRIX[0])
    assert "holds 2 arrays: #1 phi, #2 y" in refused(tmp_path / "a.npz")
    assert "is not there: the file holds 2 arrays" in refused(tmp_path / "a.npz", 3)


def test_sparse_matrices(tmp_path: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "a.npz", SPARSE)
    scipy.io.savemat(tmp_path / "a.mat", {"phi": SPARSE})
    for name in ("a.npz", "a.mat"):
        again = read(tmp_path / name)
        assert scipy.sparse.issparse(again) and np.array_equal(again.toarray(), SPARSE.toarray())


def test_variables_of_matlab(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"phi": MATRIX, "label": "text", "cell": np.array([1, "a"], object)})
    assert MAT.arrays(tmp_path / "a.mat") == {"phi": (5, 7)} and np.array_equal(read(tmp_path / "a.mat"), MATRIX)


def test_variables_of_matlab_in_hdf5(tmp_path: Path) -> None:
    """Version 7.3 has its axes in reverse, and complex numbers as pairs."""
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["phi"] = MATRIX.T
        pairs = np.zeros((7, 5), [("real", "f8"), ("imag", "f8")])
        pairs["real"], pairs["imag"] = MATRIX.T, 2 * MATRIX.T
        file["z"] = pairs
        file["#refs#/a"] = MATRIX
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM")
    assert MAT.arrays(path) == {"phi": (5, 7), "z": (5, 7)}
    assert np.array_equal(read(path, 1), MATRIX) and np.array_equal(read(path, 2), MATRIX + 2j * MATRIX)


@pytest.mark.parametrize(
    "text", ["1,2\n3,4\n", "a,b\n1,2\n3,4\n", "1 2\n3 4", "\ufeff1;2\n3;4\n", "# words\n1\t2\n\n3\t4\n"]
)
def test_tables(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read(tmp_path / "a.csv").tolist() == [[1, 2], [3, 4]]


def test_no_objects_and_no_claims_are_believed(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    assert "objects of Python" in refused(tmp_path / "objects.npy")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**6, 10**6), "fortran_order": False, "descr": "<f8"})
    (tmp_path / "claim.npy").write_bytes(header.getvalue())
    assert "claims 8000000000000 bytes" in refused(tmp_path / "claim.npy")
    small = io.BytesIO()
    np.lib.format.write_array_header_1_0(small, {"shape": (100,), "fortran_order": False, "descr": "<f8"})
    (tmp_path / "short.npy").write_bytes(small.getvalue() + bytes(8))
    assert "claims 800 bytes and holds" in refused(tmp_path / "short.npy")
    with zipfile.ZipFile(tmp_path / "claim.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    assert "claims 8000000000000 bytes" in refused(tmp_path / "claim.npz")


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX), np.savez(tmp_path / "a.npz", MATRIX)
    scipy.io.savemat(tmp_path / "a.mat", {"phi": MATRIX})
    for name in ("a.npy", "a.npz", "a.mat"):
        whole = (tmp_path / name).read_bytes()
        for length in range(len(whole) // 3, len(whole), len(whole) // 5):
            (tmp_path / name).write_bytes(whole[:length])
            refused(tmp_path / name)
    (tmp_path / "a.csv").write_text("1,2\n3,x\n")
    refused(tmp_path / "a.csv")
    for text in ("# nothing\n", "a,b\n"):
        (tmp_path / "a.csv").write_text(text)
        assert "no line of numbers" in refused(tmp_path / "a.csv")
    with pytest.raises(InputError, match="does not exist"):
        NPY.read(Item(tmp_path / "none.npy"))
    assert not TEXT.recognises(tmp_path / "none.csv")
