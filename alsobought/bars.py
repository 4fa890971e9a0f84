"""How far long work is, on standard error: a bar on a terminal, else a line at times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

LINE_EVERY_S = 5.0


@contextmanager
def told(what: str, total: int | None, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how many of `total` are done, `what` being what was done to them."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        done = DownloadColumn(binary_units=True) if in_bytes else MofNCompleteColumn()
        columns = (TextColumn(what), BarColumn(), done, TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.update(task, completed=count)
        return
    due = time.monotonic() + LINE_EVERY_S

    def line(count: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + LINE_EVERY_S
            typer.echo(f"{what} {f'{count >> 20:,} MiB' if in_bytes else f'{count:,}'}", err=True)

    yield line
