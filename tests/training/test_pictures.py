"""The pictures of a training: what is left out and why, and the same crops from memory and from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from idmcli.config import Config, TaskConfig, TrainingConfig
from idmcli.errors import InputError
from idmcli.io.images import write_image
from idmcli.io.items import Item
from idmcli.training.data import CropPool
from idmcli.training.pictures import Pictures, find_pictures
from idmcli.training.workers import in_workers

CONFIG = Config(training=TrainingConfig(patch=16))
ALL = 2**30


def picture(path: Path, shape: tuple[int, ...], bits: int = 8) -> None:
    write_image(path, np.random.default_rng(len(path.name)).random(shape), bits)


def found(folder: Path, config: Config = CONFIG, cache: int = ALL, workers: int = 0) -> tuple[Pictures, list[str]]:
    warnings: list[str] = []
    return find_pictures([str(folder)], config, cache, workers, warnings.append), warnings


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with pictures of several kinds: grey, colour, 16-bit slices in one file; too small; broken."""
    picture(tmp_path / "colour.png", (16, 18, 3))
    picture(tmp_path / "grey.png", (20, 24), bits=16)
    picture(tmp_path / "small.png", (15, 40))
    slices = np.random.default_rng(0).integers(0, 2**16, (3, 17, 19), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", slices, photometric="minisblack")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    return tmp_path


@pytest.mark.parametrize(("cache", "workers"), [(ALL, 0), (3500, 0), (3500, 2), (1, 1)])
def test_what_is_found_does_not_depend_on_where_it_is_kept(mixed: Path, cache: int, workers: int) -> None:
    pictures, warnings = found(mixed, cache=cache, workers=workers)
    assert {item.name: shape for item, shape in zip(pictures.items, pictures.shapes, strict=True)} == {
        "colour.png": (1, 16, 18),  # one channel, as the network has
        "grey.png": (1, 20, 24),
        "stack.tif#1": (1, 17, 19),
        "stack.tif#2": (1, 17, 19),
        "stack.tif#3": (1, 17, 19),
    }
    assert len(warnings) == 2 and "broken.png" in warnings[0]
    assert warnings[1] == "left out 1 pictures smaller than a crop of 16 x 16 pixels"
    assert pictures.streamed == {ALL: 0, 3500: 3, 1: 5}[cache] and len(pictures) == 5
    assert sum(kept.nbytes for kept in pictures.kept.values()) <= cache
    whole, _ = found(mixed)
    assert pictures.fingerprint == whole.fingerprint
    assert all(np.array_equal(*pair) and pair[0].flags.c_contiguous for pair in zip(pictures, whole, strict=True))


def test_crops_are_the_same_from_memory_from_files_and_from_workers(mixed: Path) -> None:
    kept, streamed = (CropPool(found(mixed, cache=cache)[0], 16) for cache in (ALL, 1500))
    batches = [range(8 * batch, 8 * batch + 8) for batch in range(4)]
    expected = [kept.crops(3, numbers) for numbers in batches]
    for workers in (0, 2):
        for x, y in zip(
            in_workers(lambda numbers: streamed.crops(3, numbers), batches, workers), expected, strict=True
        ):
            assert torch.equal(x, y)


def test_one_page_of_a_file(mixed: Path) -> None:
    pictures = find_pictures([f"{mixed}/stack.tif#2"], CONFIG, ALL, 0, pytest.fail)
    assert pictures.items == (Item(mixed / "stack.tif", 2),)
    expected = tifffile.imread(mixed / "stack.tif")[1] / np.float32(65535)
    assert np.array_equal(pictures[0][0], expected)


def test_colour_pictures(mixed: Path) -> None:
    pictures, warnings = found(mixed, replace(CONFIG, task=TaskConfig(channels=3)))
    assert pictures.shapes == ((3, 16, 18),)
    assert sum("grey.png" in warning for warning in warnings) == 1


@pytest.mark.parametrize("cache", [ALL, 1])
def test_no_usable_picture(tmp_path: Path, cache: int) -> None:
    picture(tmp_path / "small.png", (8, 8))
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(InputError, match="no picture to train on: 1 unreadable, 1 smaller than 16 x 16 pixels"):
        found(tmp_path, cache=cache)


def test_a_picture_that_breaks_during_a_training_is_named(mixed: Path) -> None:
    pictures, _ = found(mixed, cache=1)
    (mixed / "grey.png").write_bytes(b"")
    with pytest.raises(InputError, match="grey.png"):
        list(in_workers(lambda number: pictures[number], range(5), 1))


def test_a_fingerprint_depends_on_names_sizes_and_order() -> None:
    def fingerprint(*described: tuple[str, int]) -> str:
        items, shapes = [Item(Path(path)) for path, _ in described], [(1, 16, side) for _, side in described]
        return Pictures(items, shapes, {}, lambda item: np.zeros(0, np.float32)).fingerprint

    known = fingerprint(("a/x.png", 16), ("a/y.png", 17))
    assert known == fingerprint(("elsewhere/x.png", 16), ("b/y.png", 17)) == "38c451dfd825"  # as in older runs
    for changed in (
        [("a/y.png", 17), ("a/x.png", 16)],
        [("a/x.png", 16), ("a/y.png", 16)],
        [("a/x.png", 16), ("a/z.png", 17)],
        [("a/x.png", 16)],
    ):
        assert fingerprint(*changed) != known
