"""The documents name files, tests and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FOLDERS = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} | {"tests", "docs"}
TESTS = {path.name for path in (ROOT / "tests").rglob("*.py")}


def _anchor(heading: str) -> str:
    """Return the anchor that a heading of Markdown gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_pages_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(
                r"^#+ (.*)$", _without_code(other.read_text(encoding="utf-8")), re.MULTILINE
            )
            assert anchor in map(_anchor, headings), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_named_files_exist(page: Path) -> None:
    for name in re.findall(r"`([\w./]+)`", page.read_text(encoding="utf-8")):
        if re.fullmatch(r"test_\w+\.py", name):
            assert name in TESTS
        elif name.partition("/")[0] in FOLDERS and "/" in name:
            assert (ROOT / name).exists(), name
