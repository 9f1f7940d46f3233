"""Damaged files against every reader: each is read or refused, within bounds, without a warning."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idmcli.errors import InputError
from tests.fuzz_readers import BrokenError, Reader, mutant, outcome, readers

NAMES = ["PNG", "JPEG", "TIFF", "BMP", "GIF", "DICOM", "NIfTI", "packed NIfTI", "readings", "masks", "kernels"]
NAMES += ["measurements", "BART headers", "weights", "released", "priors"]
NAMES += ["model folders", "schedules", "Stable Diffusion", "checkpoints", "run records", "averages", "arrays"]
NAMES += ["MATLAB", "tables", "metrics", "TOML"]
EXAMPLES = {"released": 10, "priors": 30, "model folders": 40, "schedules": 20, "Stable Diffusion": 8}  # the slow ones
EXAMPLES |= {"MATLAB": 15, "readings": 40, "checkpoints": 20, "averages": 20, "metrics": 40}


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reader]:
    return readers(tmp_path_factory.mktemp("valid"))


def test_all_readers_are_here(every: dict[str, Reader]) -> None:
    assert list(every) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_valid_files_are_read(every: dict[str, Reader], tmp_path: Path, name: str) -> None:
    results = [outcome(every[name], content, tmp_path) for content in every[name].seeds]
    assert results.count("read") >= len(results) - 2  # a transparent, an animated or a CMYK picture


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(every: dict[str, Reader], tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    @settings(
        max_examples=EXAMPLES.get(name, 100), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.randoms(use_true_random=False))
    def check(rng: Random) -> None:
        outcome(every[name], mutant(every[name], rng), tmp_path)

    check()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("x"), "ValueError: x"),
        (MemoryError(), "MemoryError"),
        (RecursionError("x"), "RecursionError"),
        (InputError("a\x1b[31m"), "could act on a terminal"),
    ],
)
def test_the_harness_notices(tmp_path: Path, error: Exception, words: str) -> None:
    def read(path: Path) -> None:
        raise error

    with pytest.raises(BrokenError, match=words):
        outcome(Reader(read, (b"",)), b"", tmp_path)


def test_the_harness_bounds_memory(tmp_path: Path) -> None:
    with pytest.raises(BrokenError, match="MemoryError"):
        outcome(Reader(lambda path: bytes(2**31), (b"",)), b"", tmp_path)
