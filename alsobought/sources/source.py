"""A source: a file, standard input or the bundled data, as messages and as records for Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import pyarrow as pa

from alsobought.sources.encoding import records_of
from alsobought.sources.errors import BadRows, BadRowsError
from alsobought.sources.events import EventTable, messages_of
from alsobought.sources.identity import content_id, text_id
from alsobought.sources.items import items
from alsobought.sources.ordering import Sorted
from alsobought.sources.table import Position, Refuse, RowBatch, TableReader
from alsobought.sources.values import Notes
from streams.kinds import EventKind
from streams.messages.schema import CatalogueItem, EventMessage, encode

OnPosition = Callable[[Position], None]
Records = list[tuple[bytes, bytes]]
"""Keys and values."""

T = TypeVar("T")


class TableSource:
    """A source of events or of a catalogue; made by `open_events`, `open_purchases` and `open_items`.

    Each pass reads the file again, in its order, a few thousand rows at a time. A row that cannot be used
    ends the pass with BadRowsError, unless the caller skips such rows; then they are counted in `bad`. Cells
    that are used differently than they are written are counted in `notes`.

    A file with a bad row at its end must not be published in part. So a caller who does not skip bad rows
    calls `check` first if the source is `repeatable`: it reads everything and names all bad rows. Standard
    input can be read only once, so there the rows before a bad one have been passed on when it is met.

    Parameters
    ----------
    name
        The name of the file, -, or the name of bundled data.
    open_reader
        Opens it for one pass; it gets an object for notes on cells.
    repeatable
        Whether it can be read more than once.
    """

    def __init__(self, name: str, open_reader: Callable[[Notes], TableReader], *, repeatable: bool) -> None:
        self.name = name
        self.repeatable = repeatable
        self.bad = BadRows(name)
        self.notes = Notes()
        self._open_reader = open_reader
        self._position = Position(0, None, "rows")
        self._reader: TableReader | None = None

    @property
    def position(self) -> Position:
        """How far the latest pass is; another thread may ask for it."""
        return self._reader.position if self._reader is not None else self._position

    def _read(self, convert: Callable[[RowBatch, Refuse], T], *, skip_bad: bool) -> Iterator[T]:
        """Yield one pass. Raises SourceError if the file cannot be read, or BadRowsError at a bad row."""
        bad = self.bad

        def refuse(number: int, reason: str) -> None:
            bad.add(number, reason)
            if not skip_bad:
                raise BadRowsError(bad)

        reader = self._reader = self._open_reader(self.notes)
        try:
            for rows in reader.batches(refuse):
                yield convert(rows, refuse)
        finally:
            self._position, self._reader = reader.position, None

    def _begin(self) -> None:
        self.bad = BadRows(self.name)
        self.notes = Notes()

    def _watched(
        self, pieces: Iterable[T], on_position: OnPosition | None, *, skip_bad: bool = False
    ) -> Iterator[T]:
        """Yield a pass over all rows; raise BadRowsError at its end if bad ones are not skipped."""
        for piece in pieces:
            yield piece
            if on_position is not None:
                on_position(self.position)
        if self.bad.count and not skip_bad:
            raise BadRowsError(self.bad)

    def _require_repeatable(self) -> None:
        if not self.repeatable:
            raise ValueError(f"{self.name} can be read only once, so it cannot be checked before it is used")


class ItemSource(TableSource):
    """A catalogue in a file."""

    def messages(self, *, skip_bad: bool = False) -> Iterator[list[CatalogueItem]]:
        """Yield the items. Raises SourceError: the file cannot be read, or BadRowsError at a bad row."""
        self._begin()
        convert = partial(items, notes=self.notes)
        yield from filter(None, self._read(convert, skip_bad=skip_bad))

    def records(self, *, skip_bad: bool = False) -> Iterator[Records]:
        """Yield the items as records. Raises as `messages` does."""
        for found in self.messages(skip_bad=skip_bad):
            yield [(item.item_id.encode(), encode(item)) for item in found]

    def check(self, on_position: OnPosition | None = None) -> int:
        """Read all and return the number of items.

        Raises
        ------
        SourceError
            The file cannot be read; BadRowsError, after the end of the file, with the number of all bad rows.
        """
        self._require_repeatable()
        return sum(map(len, self._watched(self.messages(skip_bad=True), on_position)))


class EventSource(TableSource):
    """Events of a kind in a file.

    Parameters
    ----------
    kind
        Their kind.
    in_order
        Whether they are known to be in order of time, and without bad rows.
    content
        The identity of bundled or synthetic data; None: that of the file's bytes.
    """

    def __init__(
        self,
        name: str,
        open_reader: Callable[[Notes], TableReader],
        kind: EventKind,
        *,
        repeatable: bool,
        in_order: bool = False,
        content: str | None = None,
    ) -> None:
        super().__init__(name, open_reader, repeatable=repeatable)
        self.in_order = in_order
        self._kind = kind
        self._content = content

    def batches(self, *, skip_bad: bool = False) -> Iterator[pa.RecordBatch]:
        """Yield the events, in batches of `events.SCHEMA`. Raises as `messages` does."""
        self._begin()
        table = EventTable(self._kind, _now_ms, self.notes)
        for batch in self._read(table.batch, skip_bad=skip_bad):
            if batch.num_rows:
                yield batch

    def messages(self, *, skip_bad: bool = False) -> Iterator[list[EventMessage]]:
        """Yield the events.

        Raises
        ------
        SourceError
            The file cannot be read; BadRowsError at a bad row, if they are not skipped.
        """
        return map(messages_of, self.batches(skip_bad=skip_bad))

    def records(self, *, skip_bad: bool = False) -> Iterator[Records]:
        """Yield the events as records without a source, as they come. Raises as `messages` does."""
        return map(records_of, self.batches(skip_bad=skip_bad))

    def check(self, on_position: OnPosition | None = None) -> int:
        """Read all and return the number of events. Raises as that of `ItemSource`."""
        self._require_repeatable()
        return sum(batch.num_rows for batch in self._watched(self.batches(skip_bad=True), on_position))

    def content_id(self, *, by_time: bool) -> str:
        """Return the identity of these events, in order of time or as they are, by which they are recognised.

        Raises
        ------
        SourceError
            The file cannot be read.
        ValueError
            It can be read only once.
        """
        if self._content is not None:
            return text_id(f"{self._content} {self._kind.name}")
        self._require_repeatable()
        return content_id(self.name, self._kind.name, in_order=by_time)

    @contextmanager
    def ordered(
        self, *, skip_bad: bool = False, by_time: bool = True, on_position: OnPosition | None = None
    ) -> Iterator[Iterable[pa.RecordBatch]]:
        """Yield the events in order of time, or as they are, once all have been read and are valid.

        Events of the same time stay in the order of the file. Bundled data, and sources that can be read only
        once and are not to be ordered, are not read ahead. Raises as `check` does.
        """
        if self.in_order or not (by_time or self.repeatable):
            yield self.batches(skip_bad=skip_bad)
        elif by_time:
            read = self.batches(skip_bad=True)
            with Sorted(self.name, self._watched(read, on_position, skip_bad=skip_bad)) as found:
                yield found
        else:
            if not skip_bad:
                self.check(on_position)
            yield self.batches(skip_bad=skip_bad)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def numbered(batches: Iterable[pa.RecordBatch], source: str | None) -> Iterator[Records]:
    """Yield batches as records; with a source, each record has it and its index among all of them, from 0."""
    sent = 0
    for batch in batches:
        yield records_of(batch, source, sent)
        sent += batch.num_rows
