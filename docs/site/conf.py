"""The documentation as a site: `make docs` builds it into outputs/site/VERSION."""

import tomllib
from pathlib import Path

_PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

project = _PROJECT["name"]
release = version = _PROJECT["version"]
extensions = ["myst_parser"]
root_doc = "docs/site/index"
# Pages link to these outside of docs/, so the whole checkout is the source.
include_patterns = ["*.md", "docs/**", "cluster/README.md", "release/README.md"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
