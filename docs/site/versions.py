"""The first page of the site: it leads to the newest version, and lists all that are there.

python docs/site/versions.py outputs/site
"""

import re
import sys
from pathlib import Path

_PAGE = """<!doctype html><meta charset="utf-8"><title>rl_datagen</title>
<meta http-equiv="refresh" content="3; url={newest}/docs/site/index.html">
<h1>rl_datagen</h1>
<ul>
{items}
</ul>
"""
_ITEM = '<li><a href="{name}/docs/site/index.html">{name}</a></li>'


def main() -> None:
    """Writes the page into the folder of the site."""
    site = Path(sys.argv[1])
    names = [page.parents[2].name for page in site.glob("*/docs/site/index.html")]
    names.sort(key=lambda name: [int(n) for n in re.findall(r"\d+", name)], reverse=True)
    items = "\n".join(_ITEM.format(name=name) for name in names)
    (site / "index.html").write_text(_PAGE.format(newest=names[0], items=items), "utf-8")


if __name__ == "__main__":
    main()
