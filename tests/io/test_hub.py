"""Files of a model on the Hugging Face hub: which are fetched, of which revision, and what is said where that fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.hub import NEW, OLD, Hub, in_another_process, served

WANTED = [["config.json"], ["weights.safetensors", "weights.bin"]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The folder of a model."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "weights.bin").write_text("old")
    (folder / "more.bin").write_text("unused")
    return folder


@pytest.fixture
def hub(model: Path) -> Iterator[str]:
    """The address of a hub that has it."""
    with served(model) as address:
        yield address


def fetched(tmp_path: Path, wanted: Sequence[Sequence[str]] = WANTED, name: str = "owner/name", **env: str) -> Path:
    """:func:`idmcli.io.hub.fetch` in a process of its own; AssertionError with its message if it fails."""
    code = (
        "import sys; from idmcli.errors import InputError; from idmcli.io.hub import fetch\n"
        f"try: print(fetch('--prior', {name!r}, {wanted!r}, 'copy it'))\n"
        "except InputError as error: sys.exit(f'{error.message}; {error.hint}')"
    )
    return Path(in_another_process(code, tmp_path, HF_HOME=str(tmp_path / "cache"), **env))


def test_the_first_name_that_the_model_has_is_fetched_once(hub: str, model: Path, tmp_path: Path) -> None:
    found = fetched(tmp_path, HF_ENDPOINT=hub)
    assert sorted(path.name for path in found.iterdir()) == ["config.json", "weights.bin"]
    (model / "weights.safetensors").write_text("new")
    Hub.commit = NEW
    Hub.asked.clear()
    assert fetched(tmp_path, HF_ENDPOINT=hub) == found and Hub.asked == []
    assert fetched(tmp_path, HF_HUB_OFFLINE="1") == found


def test_all_files_are_of_one_revision(hub: str, model: Path, tmp_path: Path) -> None:
    """The weights of a model that has changed do not come beside the configuration that it had."""
    before = fetched(tmp_path, WANTED[:1], HF_ENDPOINT=hub)
    (model / "config.json").write_text('{"size": 2}')
    (model / "weights.safetensors").write_text("new")
    Hub.commit = NEW
    found = fetched(tmp_path, HF_ENDPOINT=hub)
    assert (before.name, found.name) == (OLD, NEW)
    assert sorted(path.name for path in found.iterdir()) == ["config.json", "weights.safetensors"]
    assert (found / "config.json").read_text() == '{"size": 2}'


def test_what_the_hub_does_not_have_is_said(hub: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="'owner/name' has no none.txt on the Hugging Face hub; name another"):
        fetched(tmp_path, [["none.txt", "none.md"]], HF_ENDPOINT=hub)
    assert Hub.asked == []
    with pytest.raises(AssertionError, match="--prior 'owner/none' is not here, and cannot be had .*; copy it"):
        fetched(tmp_path, name="owner/none", HF_ENDPOINT=hub)


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_network_it_fails_at_once(env: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="--prior 'owner/name' is not here, and cannot be had .*; copy it"):
        fetched(tmp_path, **env)
