"""Prints what an installation takes, with hashes, for ``pip install --require-hashes -r``.

``pip install --dry-run --ignore-installed --report - ... | python docker/hashes.py``: of the
platform and the Python that pip runs on. No address of a package index is in it.
"""

import json
import sys


def main() -> None:
    for item in sorted(json.load(sys.stdin)["install"], key=lambda item: item["metadata"]["name"]):
        hashes = item["download_info"].get("archive_info", {}).get("hashes")
        if not hashes:  # this package itself, from its folder
            continue
        metadata = item["metadata"]
        print(f"{metadata['name']}=={metadata['version']} --hash=sha256:{hashes['sha256']}")


if __name__ == "__main__":
    main()
