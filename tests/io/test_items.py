"""Items: how pages, frames and files are named."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idmcli.errors import InputError
from idmcli.io.files import require_file
from idmcli.io.items import Item


@pytest.mark.parametrize(
    ("text", "path", "number", "stem"),
    [
        ("stack.tif#3", "stack.tif", 3, "stack_3"),
        ("a/b.h5#17", "a/b.h5", 17, "b_17"),
        ("stack.tif", "stack.tif", None, "stack"),
        ("a#1#2", "a#1", 2, "a#1_2"),
        ("stack.tif#0", "stack.tif#0", None, "stack"),
        ("stack.tif#03", "stack.tif#03", None, "stack"),
        ("stack.tif#", "stack.tif#", None, "stack"),
        ("#3", "#3", None, "#3"),
        ("a\n.tif#3", "a\n.tif", 3, "a\n_3"),
        ("\udcff.tif#3", "\udcff.tif", 3, "\udcff_3"),
    ],
)
def test_parse(folder: Path, text: str, path: str, number: int | None, stem: str) -> None:
    item = Item.parse(text)
    assert item == Item(Path(path), number)
    assert item.stem == stem
    assert str(item) == text


def test_an_existing_name_wins(folder: Path) -> None:
    assert Item.parse("a.tif#2") == Item(Path("a.tif"), 2)
    (folder / "a.tif#2").touch()
    assert Item.parse("a.tif#2") == Item(Path("a.tif#2"))
    assert Item.parse("a.tif#2#1") == Item(Path("a.tif#2"), 1)


@given(
    st.text(st.characters(exclude_characters="/\0#"), min_size=1).filter(lambda name: name != "."),
    st.none() | st.integers(1, 10**9 - 1),
)
def test_text_round_trip(name: str, number: int | None) -> None:
    item = Item(Path("nowhere", name), number)
    assert Item.parse(str(item)) == item


def test_only_regular_files_are_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a").touch()
    require_file(folder / "a")
    (folder / "link").symlink_to("a")
    require_file(folder / "link")
    (folder / "broken").symlink_to("b")
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name in ("fifo", "socket", "/dev/null"):
            with pytest.raises(InputError, match=f"{name}' is not a regular file"):
                require_file(Path(name))
    for name in ("broken", "b", "a/b", "a\0b"):
        with pytest.raises(InputError, match="does not exist"):
            require_file(Path(name))
    with pytest.raises(InputError, match="is a folder"):
        require_file(folder)
    with pytest.raises(InputError, match="File name too long"):
        require_file(Path("x" * 300))
