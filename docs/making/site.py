"""What mkdocs does not do by itself: pages above docs/, links to them, the order of pages, and foreign links.

The documents stay as they are read in the repository. The README becomes the first page of the site, and
links that lead out of docs/ lead to copies of those files.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent.parent
ABOVE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changes.md"}
"""The place in the site of pages that lie above docs/."""

BESIDE = {
    "serving/page/icon.svg": "icon.svg",
    "docs/making/site.css": "site.css",
    "docs/making/iframe-worker.js": "iframe-worker.js",
}
SECTIONS = {"Guide": "guide", "Reference": "reference"}
PROMISES = ("guarantees.md", "measurements.md", "quality.md")
LINK = re.compile(r"(?<=\]\()([^()\s]+)(?=\))")
CODE = re.compile(r"^```.*?^```|^(?: {4}|\t).*?$|`[^`\n]+`", re.DOTALL | re.MULTILINE)

_foreign: dict[str, set[str]] = {}


def on_config(config: Any) -> Any:
    """Set the order of pages: guides as the README lists them, then those that it does not list."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = [target.partition("#")[0].removeprefix("docs/") for target in LINK.findall(readme)]
    nav: list[Any] = [{"alsobought": "index.md"}]
    for title, folder in SECTIONS.items():
        pages = [f"{folder}/{path.name}" for path in sorted((ROOT / "docs" / folder).glob("*.md"))]
        last = len(listed)
        nav.append({title: sorted(pages, key=lambda page: listed.index(page) if page in listed else last)})
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    nav += [{"Promises and measurements": list(PROMISES)}]
    nav += [{"Decisions": ["decisions/README.md", *(f"decisions/{path.name}" for path in decisions)]}]
    nav += ["glossary.md", "contributing.md", "changes.md"]
    config.nav = nav
    _foreign.clear()
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages above docs/, and the files that pages link to."""
    for source, place in (ABOVE | BESIDE).items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    for page in [*ABOVE, *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]:
        for target in _links((ROOT / page).read_text(encoding="utf-8")):
            path = _in_repository(page, target)
            outside = path not in ABOVE and not path.startswith("docs/") and (ROOT / path).is_file()
            if outside and files.get_file_from_path(path) is None:
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where their files are in the site."""
    place = page.file.src_uri
    source = next((above for above, its in ABOVE.items() if its == place), f"docs/{place}")

    def moved(match: re.Match[str]) -> str:
        target = match[0]
        if "://" in target:
            _foreign.setdefault(target, set()).add(source)
            return target
        if target.startswith("#"):
            return target
        path, hash_, anchor = _in_repository(source, target), *target.partition("#")[1:]
        there = ABOVE.get(path, path.removeprefix("docs/"))
        return relpath(there, Path(place).parent.as_posix()) + hash_ + anchor

    pieces, end = [], 0
    for code in CODE.finditer(markdown):
        pieces += [LINK.sub(moved, markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, LINK.sub(moved, markdown[end:])])


def on_post_build(config: Any) -> None:
    """List the links that lead elsewhere, which nobody follows here."""
    lines = [f"{target}  {', '.join(sorted(pages))}" for target, pages in sorted(_foreign.items())]
    path = Path(config.site_dir).parent / "foreign-links.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"{len(lines)} links lead elsewhere and were not followed: {path}")


def _links(markdown: str) -> list[str]:
    return [target for target in LINK.findall(CODE.sub("", markdown)) if "://" not in target]


def _in_repository(page: str, target: str) -> str:
    """Return the path, from the root of the repository, that a link of a page leads to."""
    return normpath((Path(page).parent / target.partition("#")[0]).as_posix())
