"""The pictures of a training: as many as may be are kept in memory, the others are decoded for every crop."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from idmcli.errors import IdmError, InputError
from idmcli.io.formats import PictureFormat, format_of
from idmcli.io.images import find_items, read_image
from idmcli.io.items import Item
from idmcli.measuring import select_channels
from idmcli.training.data import Pixels
from idmcli.training.workers import in_workers

if TYPE_CHECKING:
    from idmcli.config import Config

Size = tuple[int, ...]


@dataclass(frozen=True)
class Pictures(Sequence[Pixels]):
    """Pictures as (C, H, W) arrays in [0, 1].

    Attributes:
        items: files or pages.
        shapes: of each, in the same order.
        kept: the pictures in memory; the others are read when they are asked for.
        read: reads one.
    """

    items: Sequence[Item]
    shapes: Sequence[Size]
    kept: Mapping[Item, Pixels]
    read: Callable[[Item], Pixels]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        found = self.kept.get(self.items[index])
        return self.read(self.items[index]) if found is None else found

    @property
    def streamed(self) -> int:
        """How many are not in memory."""
        return len(self.items) - len(self.kept)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that depend on names and sizes, in their order."""
        named = zip(self.items, self.shapes, strict=True)
        described = "\n".join(f"{item.name} {shape}" for item, shape in named)
        return hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def find_pictures(
    paths: Sequence[str], config: Config, cache: int, workers: int, warn: Callable[[str], None]
) -> Pictures:
    """All usable pictures and pages; the others are reported through ``warn``. Each is decoded once to know.

    Args:
        paths: folders, files, pages ``FILE#N`` or patterns; of a file with several pages, all.
        config: they get the channels of its network, ``task.channels`` or 1.
        cache: bytes of pictures to keep in memory: the first that fit.
        workers: processes that decode the others, see :func:`idmcli.training.workers.in_workers`.
        warn: told what is left out.

    Raises:
        InputError: none is readable and at least as large as a training crop.
    """
    read = partial(_read, replace(config, task=replace(config.task, channels=config.task.channels or 1)))
    side, small, bad = config.training.patch, 0, 0
    shapes: dict[Item, Size] = {}
    kept: dict[Item, Pixels] = {}
    items = list(_pages(find_items(paths)))
    for item, found in _kept_then_checked(items, read, side, cache, workers):
        if isinstance(found, IdmError):
            bad += 1
            warn(f"left out: {found.message}")
            continue
        shape = found if isinstance(found, tuple) else found.shape
        if min(shape[1:]) < side:
            small += 1
            continue
        shapes[item] = shape
        if not isinstance(found, tuple):
            kept[item] = found
    if small:
        warn(f"left out {small} pictures smaller than a crop of {side} x {side} pixels")
    if not shapes:
        raise InputError(
            f"no picture to train on: {bad} unreadable, {small} smaller than {side} x {side} pixels",
            "point --data at larger pictures or lower training.patch",
        )
    return Pictures(tuple(shapes), tuple(shapes.values()), kept, read)


def _pages(items: Sequence[Item]) -> Iterator[Item]:
    """Each item; a file with several pages as its pages."""
    for item in items:
        format = format_of(item.path)
        try:
            pages = format.items(item.path) if isinstance(format, PictureFormat) and not item.number else [item]
        except InputError:  # said when it is read
            pages = [item]
        yield from pages


def _kept_then_checked(
    items: Sequence[Item], read: Callable[[Item], Pixels], side: int, cache: int, workers: int
) -> Iterator[tuple[Item, Pixels | Size | IdmError]]:
    """Each item with its pixels, as long as the usable ones fit into the cache, and from then on with its shape."""
    for index, item in enumerate(items):
        found = _or_error(read, item)
        if not isinstance(found, IdmError) and min(found.shape[1:]) >= side:
            cache -= found.nbytes
        if cache < 0:
            rest = items[index:]
            break
        yield item, found
    else:
        return
    with closing(in_workers(partial(_checked, read), rest, workers)) as checked:
        yield from zip(rest, checked, strict=True)


def _checked(read: Callable[[Item], Pixels], item: Item) -> Size | IdmError:
    found = _or_error(read, item)
    return found if isinstance(found, IdmError) else found.shape


def _or_error(read: Callable[[Item], Pixels], item: Item) -> Pixels | IdmError:
    try:
        return read(item)
    except IdmError as error:
        return error


def _read(config: Config, item: Item) -> Pixels:
    pixels = select_channels(read_image(item), config).pixels
    return np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))
