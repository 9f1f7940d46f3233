"""One picture or one measurement among those a file may hold."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_NUMBERED = re.compile(r"(.+)#([1-9]\d{0,8})", re.DOTALL)


@dataclass(frozen=True)
class Item:
    """A file, or one page, frame or slice of it: ``stack.tif#3``.

    Attributes:
        path: the file.
        number: counted from 1; None where the file holds one thing.
        below: the folder it was found in, relative to the one that was named; results go to the same place.
    """

    path: Path
    number: int | None = None
    below: Path = field(default=Path(), compare=False)

    @classmethod
    def parse(cls, text: str | Path) -> Self:
        """The item that ``text`` names; a file that exists under that very name wins over ``FILE#N``."""
        match = _NUMBERED.fullmatch(str(text))
        if match and not os.path.lexists(text):
            return cls(Path(match[1]), int(match[2]))
        return cls(Path(text))

    @property
    def name(self) -> str:
        """The file's name without its folder, with the number: ``stack.tif#3``."""
        return self.path.name if self.number is None else f"{self.path.name}#{self.number}"

    @property
    def stem(self) -> str:
        """The name of a file made of this item, without a suffix: ``stack_3``, also for ``stack.nii.gz#3``."""
        name = self.path.name
        stem = Path(name[:-3] if name.lower().endswith(".nii.gz") else name).stem
        return stem if self.number is None else f"{stem}_{self.number}"

    def __str__(self) -> str:
        return str(self.path) if self.number is None else f"{self.path}#{self.number}"
