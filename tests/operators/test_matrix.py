"""Operators of matrices: what they measure, what they take, closed forms against dense algebra, and files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

from idmcli.cli import main
from idmcli.errors import InputError
from idmcli.io.images import read_image
from idmcli.measuring import Measurement, Provenance, load_measurement
from idmcli.metrics import psnr
from idmcli.operators import CompressedSensing, LinearOperator, MatrixOperator, build_operator, matrix
from idmcli.solvers import find, suitable, why_not
from tests.small import MATRICES, camera, dense, flat, gaussian_matrix, random, run, sparse_matrix

PHI = gaussian_matrix(8, 20)


def test_the_number_of_columns_says_what_is_measured() -> None:
    x = random(2, 3, 5, 4)
    whole = MatrixOperator(gaussian_matrix(7, 60), (3, 5, 4))
    torch.testing.assert_close(whole.A(x), x.flatten(1) @ gaussian_matrix(7, 60).T)
    each = MatrixOperator(PHI, (3, 5, 4))
    torch.testing.assert_close(each.A(x), x.flatten(2) @ PHI.T)
    grey = MatrixOperator(PHI, (1, 5, 4))
    assert (whole.measurement_shape, each.measurement_shape, grey.measurement_shape) == ((7,), (3, 8), (8,))
    torch.testing.assert_close(grey.A(x[:, :1]), each.A(x)[:, 0])


@pytest.mark.parametrize("size", [(8, 12), (7, 10)])
def test_blocks_are_those_of_block_compressed_sensing(size: tuple[int, int]) -> None:
    rows = torch.linalg.qr(random(16, 6))[0].T.contiguous()
    own = MatrixOperator(rows, (3, *size), block=4)
    there = CompressedSensing((3, *size), 6 / 16, block=4, phi=rows, permutation="none")
    x = random(2, 3, *size)
    assert (own.measurement_shape, own.padded_shape) == (there.measurement_shape, there.padded_shape)
    assert (own.tight, own.padded().tight) == (there.tight, there.padded().tight)
    torch.testing.assert_close(own.A(x), there.A(x))
    torch.testing.assert_close(own.AT(own.A(x)), there.AT(there.A(x)))


KINDS: dict[str, Any] = {
    "numpy": lambda phi: phi.numpy(),
    "read-only numpy": lambda phi: np.lib.stride_tricks.as_strided(phi.numpy(), writeable=False),
    "big-endian numpy": lambda phi: phi.numpy().astype(">f8"),
    "lists": lambda phi: phi.tolist(),
    "csr_array": lambda phi: scipy.sparse.csr_array(phi.numpy()),
    "coo_matrix": lambda phi: scipy.sparse.coo_matrix(phi.numpy()),
    "csc, int64 indices": lambda phi: scipy.sparse.csc_array(
        (phi.numpy().T.ravel(), np.tile(np.arange(8), 20), 8 * np.arange(21, dtype=np.int64)), shape=(8, 20)
    ),
    "torch coo": lambda phi: phi.to_sparse(),
    "torch coo, not summed": lambda phi: torch.sparse_coo_tensor(
        torch.cat([phi.nonzero().T] * 2, 1), torch.cat([phi[phi != 0] / 2] * 2), phi.shape
    ),
    "transposed view": lambda phi: phi.T.contiguous().T,
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_array_of_the_matrix_gives_the_same(kind: str) -> None:
    operator = MatrixOperator(KINDS[kind](PHI), (1, 5, 4))
    x = random(2, 1, 5, 4)
    torch.testing.assert_close(operator.A(x), x.flatten(1) @ PHI.T)
    torch.testing.assert_close(operator.AT(operator.A(x)).flatten(1), operator.A(x) @ PHI)
    torch.testing.assert_close(operator.pinv(operator.A(x)).flatten(1), operator.A(x) @ torch.linalg.pinv(PHI).T)


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (torch.bool, torch.float32),
        (torch.uint8, torch.float32),
        (torch.int16, torch.float32),
        (torch.int64, torch.float64),
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.complex64, torch.complex64),
    ],
)
def test_numbers_of_other_types_are_held_exactly(given: torch.dtype, held: torch.dtype) -> None:
    phi = (torch.arange(12).view(3, 4) % 5).to(given)
    operator = MatrixOperator(phi, (1, 2, 2))
    assert operator.values.dtype == held and torch.equal(operator.values, phi.to(held))


@pytest.mark.parametrize("shape", [(20, 30), (45, 30), (30, 30)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("complex_image", [False, True])
def test_closed_forms_against_dense_algebra(shape: tuple[int, int], dtype: torch.dtype, complex_image: bool) -> None:
    phi = random(*shape, dtype=dtype)
    operator = MatrixOperator(phi, (1, 6, 5), complex_image=complex_image)
    a = dense(operator)
    kept = torch.linalg.svdvals(a)
    assert kept[-1] > 1e-3 * kept[0]  # nothing is left out
    y = random(1, shape[0], dtype=torch.complex128 if operator.complex_measurements else torch.float64)
    found = operator.solve(y)
    assert found.iterations == 0
    torch.testing.assert_close(flat(found.x)[0], torch.linalg.pinv(a) @ flat(y)[0])
    z = random(1, 1, 6, 5, dtype=torch.complex128 if complex_image else torch.float64)
    expected = torch.linalg.solve(torch.eye(a.shape[1]) + 0.3 * a.T @ a, flat(z)[0] + 0.3 * a.T @ flat(y)[0])
    torch.testing.assert_close(flat(operator.prox(z, y, 0.3))[0], expected)
    assert operator.squared_norm(y) == pytest.approx(float(kept[0]) ** 2)


def test_what_a_matrix_hardly_measures_counts_as_not_measured() -> None:
    u, _, v = torch.linalg.svd(random(6, 16), full_matrices=False)
    values = torch.tensor([4.0, 2, 1, 1e-2, 1e-5, 0], dtype=torch.float64)
    operator = MatrixOperator(u * values @ v, (1, 4, 4))
    spectrum = operator.spectrum()
    assert spectrum is not None
    torch.testing.assert_close(spectrum.values[0], values[:4], rtol=1e-9, atol=0)
    y = random(1, 6)
    expected = torch.linalg.pinv(u * values @ v, rtol=1e-3) @ y[0]
    torch.testing.assert_close(operator.pinv(y).flatten(), expected)
    zeros = MatrixOperator(torch.cat([random(6, 16), random(6, 16)]), (1, 4, 4))  # every row twice
    spectrum = zeros.spectrum()
    assert spectrum is not None and spectrum.values.shape == (1, 6)


@pytest.mark.parametrize("name", ["matrix", "matrix-sparse", "matrix-complex", "matrix-blocks"])
def test_conjugate_gradients_serve_larger_matrices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    small = MATRICES[name]
    y = small.A(random(1, *small.image_shape))
    expected = small.pinv(y)
    assert "ddrm" in suitable(small)
    monkeypatch.setattr(matrix, "LARGEST_SIDE", 3)
    large = build_operator(small.to_spec(), small.arrays())
    assert isinstance(large, MatrixOperator)
    found = large.solve(y, tolerance=1e-10)
    assert large.spectrum() is None and found.iterations > 1 and found.converged
    torch.testing.assert_close(found.x, expected, rtol=1e-6, atol=1e-6)
    assert large.gram(y).values.ndim == 0
    assert "singular values" in why_not(find("ddrm"), large)


@pytest.mark.parametrize(
    ("phi", "tight"),
    [
        (torch.eye(20)[::2], True),
        (torch.linalg.qr(random(20, 7))[0].T.float(), True),
        (torch.linalg.qr(random(30, 20))[0], True),  # orthonormal columns: A^T A = I
        (torch.linalg.qr(random(20, 7))[0].T * 1.001, False),
        (torch.eye(20).flip(0) + 1e-4 * torch.ones(20, 20), False),
        (torch.fft.fft(torch.eye(20, dtype=torch.complex128), norm="ortho"), True),  # of real images, N > M
    ],
)
def test_orthonormal_rows_are_tight(phi: Tensor, tight: bool) -> None:
    operator = MatrixOperator(phi, (1, 5, 4))
    assert operator.tight == tight
    assert MatrixOperator(phi.to_sparse(), (1, 5, 4)).tight == tight
    if tight:
        y = operator.A(random(1, 1, 5, 4))
        torch.testing.assert_close(operator.A(operator.pinv(y)), y, rtol=1e-5, atol=1e-5)


def test_the_decomposition_is_made_once_and_keeps_no_copy_of_the_matrix() -> None:
    operator = MatrixOperator(PHI.float(), (1, 5, 4))
    y = operator.A(torch.ones(1, 1, 5, 4))
    operator.prox(torch.zeros(1, 1, 5, 4), y, 1.0)
    first = vars(operator)["_singular"]
    operator.pinv(y)
    assert vars(operator)["_singular"] is first and first.vectors.dtype == torch.float64
    assert set(vars(operator)["_pairs"]) == {torch.float32}


def test_the_gram_is_that_of_the_matrix() -> None:
    operator = MatrixOperator(PHI, (1, 5, 4))
    gram = operator.gram(random(1, 8))
    y = random(3, 8)
    torch.testing.assert_close(gram.scaled(gram.values, y), y @ (PHI @ PHI.T))
    assert gram.power_gain == pytest.approx(float(PHI.square().sum()) / 8)


class Plain(MatrixOperator):
    """Preconditioned by its norm alone."""

    gram = LinearOperator.gram


def test_total_variation_takes_any_scaling() -> None:
    """Some rows are a thousand times as strong as others, which the preconditioner knows."""
    x = camera(16, 4).double()
    phi = random(140, 256) * torch.logspace(0, 3, 140, dtype=torch.float64)[:, None]
    known, plain = MatrixOperator(phi, (1, 16, 16)), Plain(phi, (1, 16, 16))
    scores = [float(psnr(run("tv", operator, operator.A(x)).clamp(0, 1), x)) for operator in (known, plain)]
    assert scores[0] > scores[1] + 4


@pytest.mark.parametrize(
    ("phi", "options", "message"),
    [
        (torch.ones(3, 19), {}, r"the matrix has 19 columns, and an image of shape \(1, 5, 4\) has 20 values"),
        (torch.ones(3, 20), {"block": 2}, "the matrix has 20 columns, and a block of 2 x 2 pixels has 4 values"),
        (torch.ones(3, 4), {"block": 0}, "the block size is 0"),
        (torch.ones(3, 36), {"block": 2**15 + 1}, "the block size is 32769"),
        (torch.ones(3, 4), {"block": 2.0}, "the block size is 2.0"),
        (torch.zeros(3, 20), {}, "all zero"),
        (torch.zeros(3, 20).to_sparse(), {}, "all zero"),
        (torch.full((3, 20), float("nan")), {}, "NaN or infinity"),
        (scipy.sparse.coo_array(([1.0], ([0], [2**40])), shape=(2, 2**41)), {}, "shape .* and 1 entries"),
        (torch.ones(20), {}, r"the matrix has shape \(20,\)"),
        (torch.ones(0, 20), {}, r"the matrix has shape \(0, 20\)"),
        ([["a", "b"]], {}, "list is no matrix"),
        ([[1, 2], [3]], {}, "list is no matrix"),
        (None, {}, "NoneType is no matrix"),
    ],
)
def test_matrices_that_do_not_fit(phi: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MatrixOperator(phi, (1, 5, 4), **options)


def test_scipy_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    operator = MatrixOperator(torch.eye(4).to_sparse(), (1, 2, 2))
    assert operator.pinv(torch.ones(1, 4)).tolist() == [[[[1.0, 1.0], [1.0, 1.0]]]]


@pytest.mark.parametrize("name", MATRICES)
def test_a_measurement_file_holds_the_matrix(name: str, tmp_path: Path) -> None:
    operator = MATRICES[name]
    assert isinstance(operator, MatrixOperator)
    y = operator.A(random(1, *operator.image_shape, dtype=torch.complex64 if operator.complex_image else torch.float32))
    path = tmp_path / "m.safetensors"
    Measurement(operator, y[0], provenance=Provenance("idm", "a.png", "0" * 64)).save(path)
    again = load_measurement(path).operator
    assert isinstance(again, MatrixOperator) and again.sparse == operator.sparse
    assert again.to_spec() == operator.to_spec() and again.block == operator.block
    assert all(torch.equal(one, other) for one, other in zip(again.buffers(), operator.buffers(), strict=True))


def test_a_file_with_a_matrix_is_reconstructed_without_a_task(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = camera(32, 2)
    operator = MatrixOperator(random(500, 1024, dtype=torch.float32), (1, 32, 32))
    Measurement(operator, operator.A(x)[0], provenance=Provenance("own", "own", "0" * 64)).save("own.safetensors")
    assert main(["reconstruct", "own.safetensors", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["kind"], result["method"]) == ("matrix", "hqs")
    found = torch.from_numpy(read_image(Path(result["output"])).pixels).float()[None, None]
    assert psnr(found, x) > 22
    assert main(["info", "own.safetensors"]) == 0
    assert "48.8 % measurements per pixel" in capsys.readouterr().out
    assert main(["reconstruct", "own.safetensors", "--method", "hqs", "--out", "hqs", "--json"]) == 0


SPARSE = MatrixOperator(sparse_matrix(20, 30), (1, 6, 5))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("starts", lambda t: t + 1),
        ("starts", lambda t: t[:-1]),
        ("starts", lambda t: t[:0]),
        ("starts", lambda t: t.flip(0)),
        ("starts", lambda t: torch.cat([t[:5], t[5:] - 10, t[-1:]])),
        ("starts", lambda t: t.long()),
        ("starts", lambda t: t[None]),
        ("columns", lambda t: t + 1000),
        ("columns", lambda t: t - 1000),
        ("columns", lambda t: t[:-1]),
        ("columns", lambda t: t.float()),
        ("values", lambda t: t[:-1]),
        ("values", lambda t: t[:, None]),
    ],
)
def test_parts_of_a_sparse_matrix_that_would_lead_beyond_it(name: str, change: Any) -> None:
    arrays = dict(SPARSE.arrays())
    with pytest.raises(InputError, match="do not fit together"):
        build_operator(SPARSE.to_spec(), {**arrays, name: change(arrays[name])})


def test_columns_of_a_specification_that_are_others() -> None:
    for columns in (29, 31, 0, -1, 10**9, 10**30):
        with pytest.raises(InputError, match="do not fit together|columns, and an image|the key 'columns'"):
            build_operator({**SPARSE.to_spec(), "columns": columns}, SPARSE.arrays())
    dense = MatrixOperator(PHI, (1, 5, 4))
    with pytest.raises(InputError, match=r"has shape \(8, 20\), and its specification says 19 columns"):
        build_operator({**dense.to_spec(), "columns": 19}, dense.arrays())
    with pytest.raises(InputError, match="needs the array"):
        build_operator({**dense.to_spec(), "sparse": True}, dense.arrays())
