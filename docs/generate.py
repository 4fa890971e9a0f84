"""Writes docs/reference/ from the code: `python docs/generate.py`, and with --check only compares."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from docs.making.asyncapi import asyncapi, schemas  # noqa: E402
from docs.making.doors import doors_page  # noqa: E402
from docs.making.messages import topics_page  # noqa: E402
from docs.making.settings import settings_page  # noqa: E402

PAGES: dict[str, Callable[[], str]] = {
    "topics-and-messages.md": topics_page,
    "settings.md": settings_page,
    "doors.md": doors_page,
    "asyncapi.json": asyncapi,
    "schemas.json": schemas,
}


def main() -> int:
    """Write the pages, or compare them; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; fail if a page is stale")
    check = options.parse_args().check
    folder, stale = ROOT / "docs" / "reference", []
    for name, page in PAGES.items():
        text, path = page(), folder / name
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path.relative_to(ROOT)))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run python docs/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
