"""The pages of the reference, made of the code: ``python -m docs.generate`` writes them to ``docs/reference/``."""

from __future__ import annotations

from pathlib import Path

from docs.generate import commands, configuration, exits, files, functions, methods

FOLDER = Path(__file__).parent.parent / "reference"

PAGES = {
    "commands.md": commands.page,
    "configuration.md": configuration.page,
    "methods.md": methods.page,
    "files.md": files.page,
    "exit-codes.md": exits.page,
    "python.md": functions.page,
}


def write(folder: Path = FOLDER) -> None:
    """Write all pages; those that have not changed keep their time, so that Sphinx does not read them again."""
    for name, page in PAGES.items():
        path, text = folder / name, page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
