"""Show the progress of long work on standard error: a bar on a terminal, otherwise a line now and then."""

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
def progress_bar(what: str, total: int | None, *, in_bytes: bool = False) -> Iterator[Callable[..., None]]:
    """Yield a function that shows how many of `total` are done; `what` names what was done to them.

    The function takes the count and, optionally, what is being worked on.
    """
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        done = DownloadColumn(binary_units=True) if in_bytes else MofNCompleteColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), done, TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)

            def show(count: int, doing: str = "") -> None:
                bar.update(task, completed=count, description=f"{what} {doing}".rstrip())

            yield show
        return
    due = time.monotonic() + LINE_EVERY_S

    def line(count: int, doing: str = "") -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + LINE_EVERY_S
            done = f"{count >> 20:,} MiB" if in_bytes else f"{count:,}"
            typer.echo(f"{what} {done} {doing}".rstrip(), err=True)

    yield line
