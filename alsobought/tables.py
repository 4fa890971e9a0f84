"""Tables and numbers in a form that people read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console, JustifyMethod
from rich.table import Table

WIDE = 200
NAME_LETTERS = 40  # a name of so many in the first column stays on one line


def table_of(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> Table:
    """Return a table with numbers aligned to the right."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        numeric = all(isinstance(row[at], int | float) for row in rows) and bool(rows)
        short = at == 0 and all(len(_cell(row[at])) <= NAME_LETTERS for row in rows)
        justify: JustifyMethod = "right" if numeric else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=short)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str | None = None,
    *,
    wide: bool = False,
) -> None:
    """Print a table on standard output; one of many columns is not folded where no terminal limits it."""
    console = Console(markup=False, highlight=False)
    if wide and not console.is_terminal:
        console.width = WIDE
    console.print(table_of(columns, rows, title))


def time_of(ms: int) -> str:
    """Return a time as people read it, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
