"""Amounts of memory, read and written."""

from __future__ import annotations

import pytest

from idmcli.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("15GiB", 15 * 2**30),
        ("11 gib", 11 * 2**30),
        ("800MB", 800 * 10**6),
        ("1.5KiB", 1536),
        ("2e9", 2 * 10**9),
        (" 7 ", 7),
        (4096, 4096),
        ("0.1TB", 10**11),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "11GX", "GiB", "-1GB", "1,5GB", "0", "0.1", "nan", "1e99", "9" * 20, "11G", True])
def test_no_sizes(text: str | int) -> None:
    with pytest.raises(ValueError, match="a size"):
        parse_size(text)


def test_sizes_for_people() -> None:
    assert [format_size(size) for size in (0, 1023, 1024, 1.5 * 2**20, 15 * 2**30, 3 * 2**50)] == [
        "0 B",
        "1023 B",
        "1.00 KiB",
        "1.50 MiB",
        "15.00 GiB",
        "3072.00 TiB",
    ]
