"""Sphinx: `make docs` builds the site into build/docs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from docs.generate import write  # noqa: E402
from idmcli import __version__  # noqa: E402

write()

project, author, release = "idm", "the idm authors", __version__
project_copyright = "the idm authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/__pycache__"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say them, with shapes and units
html_theme = "furo"
html_title = f"idm {release}"
html_copy_source = html_show_sourcelink = False
