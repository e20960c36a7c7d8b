"""How the documentation is built; see `make docs`."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

project = "Pilothouse"
author = "The Pilothouse authors"
project_copyright = "The Pilothouse authors, Apache-2.0"
release = re.findall(r'__version__ = "(.+)"', (_ROOT / "src" / "pilothouse" / "__init__.py").read_text("utf-8"))[0]

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
# A page that nobody can reach, and a link that leads nowhere, fail the build.
nitpicky = True

html_theme = "furo"
html_title = f"Pilothouse {release}"
html_static_path = ["_static"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
