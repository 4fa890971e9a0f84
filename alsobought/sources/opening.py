"""Open a file by its name: formats, pipes and bundled data."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from alsobought.sources import complete_journey
from alsobought.sources.csv_reader import CsvReader
from alsobought.sources.errors import SourceError
from alsobought.sources.events import table_of
from alsobought.sources.items import ITEMS_TABLE
from alsobought.sources.json_reader import JsonReader
from alsobought.sources.lines import Lines
from alsobought.sources.parquet_reader import ParquetReader
from alsobought.sources.source import EventSource, ItemSource
from alsobought.sources.synthetic import NAME as SYNTHETIC
from alsobought.sources.synthetic import Shape, SyntheticPurchases
from alsobought.sources.table import Table, TableReader
from alsobought.sources.values import Notes
from streams.kinds import BOUGHT, EventKind

STDIN = "-"

Open = Callable[[Notes], TableReader]


def open_purchases(name: str) -> EventSource:
    """Return the purchases of a file, of `-` (standard input) or of `complete-journey`.

    Raises as `open_events` does.
    """
    return open_events(name, BOUGHT)


def open_events(name: str, kind: EventKind, separator: str | None = None) -> EventSource:
    """Return the events of a kind in a file, a pipe or `-` (standard input).

    Parameters
    ----------
    separator
        What is between the cells of CSV; None: a comma, or what the header shows.

    Raises
    ------
    SourceError
        The format is unknown. Whether the file is there and readable shows with the first batch.
    """
    if name == complete_journey.NAME:
        if kind is not BOUGHT:
            raise SourceError(f"{name} has purchases and no {kind.events.name}: give a file.")
        return EventSource(
            name,
            lambda _notes: complete_journey.CompleteJourneyPurchases(),
            kind,
            repeatable=True,
            in_order=True,
            content=f"{name} {complete_journey.VERSION}",
        )
    return EventSource(name, _opener(name, table_of(kind), separator), kind, repeatable=not is_stream(name))


def open_synthetic(shape: Shape) -> EventSource:
    """Return synthetic purchases."""
    return EventSource(
        SYNTHETIC,
        lambda _notes: SyntheticPurchases(shape),
        BOUGHT,
        repeatable=True,
        in_order=True,
        content=str(shape),
    )


def open_items(name: str, separator: str | None = None) -> ItemSource:
    """Return the catalogue of a file, a pipe, `-` (standard input) or `complete-journey`, as above."""
    if name == complete_journey.NAME:
        return ItemSource(name, lambda _notes: complete_journey.CompleteJourneyItems(), repeatable=True)
    return ItemSource(name, _opener(name, ITEMS_TABLE, separator), repeatable=not is_stream(name))


def is_stream(name: str) -> bool:
    """Return whether a name is standard input or a named pipe, which can be read only once."""
    if name == STDIN:
        return True
    try:
        mode = os.stat(name).st_mode
    except OSError:
        return False  # reading it says why
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def _opener(name: str, table: Table, separator: str | None) -> Open:
    path = Path(name)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] in ([".gz"], [".xz"])
    match suffixes[-2:-1] if compressed else suffixes[-1:]:
        case [".csv" | ".tsv" | ".txt"]:
            return lambda notes: CsvReader(lines_of(path), table, notes, separator)
        case [".jsonl" | ".ndjson" | ".json"]:
            return lambda _notes: JsonReader(lines_of(path), table)
        case [".parquet"] if not compressed:
            return lambda _notes: ParquetReader(path, table)
    if is_stream(name) and not compressed:
        return lambda notes: _stream_reader(path, table, notes, separator)
    raise SourceError(
        f"{name}: the ending of the name is of no known format. Known are .csv, .tsv, .txt, .jsonl, .ndjson"
        f" and .json, each also .gz or .xz; .parquet; {STDIN} for standard input; and"
        f" {complete_journey.NAME}."
    )


def lines_of(path: Path) -> Lines:
    """Open a text file, a pipe or - (standard input)."""
    if str(path) == STDIN:
        return Lines.of_stdin()
    return Lines.of_pipe(path) if is_stream(str(path)) else Lines.of_file(path)


def _stream_reader(path: Path, table: Table, notes: Notes, separator: str | None) -> TableReader:
    lines = lines_of(path)
    # A JSON array is none of the two; the JSON reader says so.
    if lines.first_character() in (b"{", b"["):
        return JsonReader(lines, table)
    return CsvReader(lines, table, notes, separator)
