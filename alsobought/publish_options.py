"""The options that the commands of `publish` share, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from alsobought.options import CommandError
from alsobought.sources import EventSource
from streams.messages.checks import Unusable, check_id

FORMATS = "CSV, JSON lines (also .gz, .xz) or Parquet; - for standard input"
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help=f"{FORMATS}; complete-journey for a year of groceries that comes with the installation.",
    ),
]
OwnFile = Annotated[str, typer.Argument(metavar="FILE", help=f"{FORMATS}.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Publish only the first so many.")]
Rate = Annotated[float | None, typer.Option(min=0.01, help="At most so many a second.")]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave out rows that cannot be used, and say how many they were.")
]
Separator = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER",
        help="What separates the columns of CSV, such as ';' or tab; else a comma, or what the header shows.",
    ),
]
Sort = Annotated[
    bool | None,
    typer.Option(
        "--sort/--unsorted",
        help="Send events in order of their time, or as they come. Without either, files are sorted (large"
        " ones on disk, in TMPDIR) and what comes through a pipe is sent as it comes.",
    ),
]
SourceName = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Name the events' source: what was counted of a source before is not counted again. Without it"
        " a file's source is a hash of its content; what comes through a pipe has none.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Name no source, so that all is counted once more.")]

LONGEST_SOURCE_BYTES = 64


@dataclass(frozen=True)
class PublishOptions:
    """PublishOptions a file of events is published: the options of the commands."""

    limit: int | None = None
    rate: float | None = None
    skip_bad: bool = False
    separator: str | None = None
    sort: bool | None = None
    source: str | None = None
    again: bool = False


def source_of(found: EventSource, how: PublishOptions, *, by_time: bool) -> str | None:
    """Return what the events name as their source; raises CommandError if they cannot."""
    if how.again and how.source is not None:
        raise CommandError("--source and --again contradict each other: give one of them.")
    if how.source is not None:
        try:
            check_id("--source", how.source)
        except Unusable as error:
            raise CommandError(f"{error}. Give a name such as orders-2026.") from error
        if len(how.source.encode()) > LONGEST_SOURCE_BYTES:
            raise CommandError(f"--source has more than {LONGEST_SOURCE_BYTES} bytes: give a shorter name.")
        return how.source
    if how.again or not found.repeatable:
        return None
    return found.content_id(by_time=by_time)


def separator_of(given: str | None) -> str | None:
    """Return the separator that an option names; raises CommandError if it is none."""
    found = {"tab": "\t", "\\t": "\t"}.get(given, given) if given is not None else None
    if found is not None and (len(found) != 1 or found in '"\r\n'):
        raise CommandError(
            f"--separator {given!r} is not one character, such as ';' or '|', nor the word tab."
        )
    return found
