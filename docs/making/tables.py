"""Tables in Markdown, and the line that says that a page is made."""

from __future__ import annotations

MADE = "<!-- Made by docs/generate.py from the code. Do not edit. -->"


def table_of(head: list[str], rows: list[list[str]]) -> str:
    """Return a table with a head."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
