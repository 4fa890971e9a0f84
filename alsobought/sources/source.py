"""A source: a file, standard input or the bundled data, as messages and as records for Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from alsobought.sources import complete_journey
from alsobought.sources.csv_reader import CsvReader
from alsobought.sources.errors import BadRows, BadRowsError, SourceError
from alsobought.sources.events import events, table_of
from alsobought.sources.items import ITEMS_TABLE, items
from alsobought.sources.json_reader import JsonReader
from alsobought.sources.lines import Lines
from alsobought.sources.parquet_reader import ParquetReader
from alsobought.sources.table import Position, Reader, Refuse, Rows, Table
from streams.kinds import BOUGHT, EventKind
from streams.messages import CatalogueItem, EventMessage, encode

STDIN = "-"

Message = TypeVar("Message", bound=Struct)
OnPosition = Callable[[Position], None]


class Source(Generic[Message]):
    """Where messages come from; made by `open_events`, `open_purchases` and `open_items`.

    Each call of `messages`, `records` or `check` is a pass of its own over the file, in its order, a few
    thousand rows at a time. A row that cannot be made into a message ends the pass with BadRowsError, unless
    the caller skips such rows; then they are counted in `bad`.

    So that a file with a bad row at its end is not published in part, a caller who does not skip calls
    `check` first, where `repeatable`: it reads all and names all bad rows. Standard input can only be read
    once, so there the rows before a bad one have been handed on when it is met.
    """

    def __init__(
        self,
        name: str,
        *,
        open_reader: Callable[[], Reader],
        convert: Callable[[Rows, Refuse], list[Message]],
        key: Callable[[Message], str],
        repeatable: bool,
    ) -> None:
        self.name = name
        self.repeatable = repeatable
        self.bad = BadRows(name)
        self._open_reader = open_reader
        self._convert = convert
        self._key = key
        self._position = Position(0, None, "rows")
        self._reader: Reader | None = None

    @property
    def position(self) -> Position:
        """How far the latest pass is; another thread may ask."""
        return self._reader.position if self._reader is not None else self._position

    def messages(self, *, skip_bad: bool = False) -> Iterator[list[Message]]:
        """Yield the messages.

        Raises
        ------
        SourceError
            The file cannot be read; BadRowsError at a bad row, if they are not skipped.
        """
        bad = self.bad = BadRows(self.name)

        def refuse(number: int, reason: str) -> None:
            bad.add(number, reason)
            if not skip_bad:
                raise BadRowsError(bad)

        reader = self._reader = self._open_reader()
        try:
            for rows in reader.batches(refuse):
                if found := self._convert(rows, refuse):
                    yield found
        finally:
            self._position, self._reader = reader.position, None

    def records(self, *, skip_bad: bool = False) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield the messages as keys and values of Kafka records. Raises as `messages` does."""
        key = self._key
        for found in self.messages(skip_bad=skip_bad):
            yield [(key(message).encode(), encode(message)) for message in found]

    def check(self, on_position: OnPosition | None = None) -> int:
        """Read all and return the number of messages.

        Raises
        ------
        SourceError
            The file cannot be read; BadRowsError, after the end of the file, with the number of all bad rows.
        """
        if not self.repeatable:
            raise ValueError(f"{self.name} can be read only once, so it cannot be checked before it is used")
        count = 0
        for found in self.messages(skip_bad=True):
            count += len(found)
            if on_position is not None:
                on_position(self.position)
        if self.bad.count:
            raise BadRowsError(self.bad)
        return count


def open_purchases(name: str) -> Source[EventMessage]:
    """Return the purchases of a file, of `-` (standard input) or of `complete-journey`.

    Raises as `open_events` does.
    """
    return open_events(name, BOUGHT)


def open_events(name: str, kind: EventKind) -> Source[EventMessage]:
    """Return the events of a kind in a file or `-` (standard input).

    Raises
    ------
    SourceError
        The format is unknown. Whether the file is there and readable shows with the first batch.
    """
    bundled = complete_journey.CompleteJourneyPurchases if kind is BOUGHT else None
    return Source(
        name,
        open_reader=_opener(name, table_of(kind), bundled),
        convert=partial(events, kind=kind),
        key=lambda event: event.customer_id,
        repeatable=name != STDIN,
    )


def open_items(name: str) -> Source[CatalogueItem]:
    """Return the catalogue of a file, of `-` (standard input) or `complete-journey`, as above."""
    return Source(
        name,
        open_reader=_opener(name, ITEMS_TABLE, complete_journey.CompleteJourneyItems),
        convert=items,
        key=lambda item: item.item_id,
        repeatable=name != STDIN,
    )


def _opener(name: str, table: Table, bundled: Callable[[], Reader] | None) -> Callable[[], Reader]:
    if name == STDIN:
        return lambda: _stdin_reader(table)
    if name == complete_journey.NAME:
        if bundled is None:
            raise SourceError(f"{name} has purchases and no {table.kind}: give a file.")
        return bundled
    path = Path(name)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] in ([".gz"], [".xz"])
    match suffixes[-2:-1] if compressed else suffixes[-1:]:
        case [".csv"]:
            return lambda: CsvReader(Lines.of_file(path), table)
        case [".jsonl" | ".ndjson" | ".json"]:
            return lambda: JsonReader(Lines.of_file(path), table)
        case [".parquet"] if not compressed:
            return lambda: ParquetReader(path, table)
    raise SourceError(
        f"{name}: the name tells no known format. Known are .csv, .jsonl, .ndjson and .json, each also .gz or"
        f" .xz; .parquet; {STDIN} for standard input; and {complete_journey.NAME}."
    )


def _stdin_reader(table: Table) -> Reader:
    lines = Lines.of_stdin()
    # A JSON array is none of the two; the JSON reader says so.
    return (JsonReader if lines.first_character() in (b"{", b"[") else CsvReader)(lines, table)
