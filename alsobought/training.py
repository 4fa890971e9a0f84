"""Fit a chronological model: collect the events of a kind, train with interruptions, and return the model.

Items and customers are numbered in the order of their ids, and only those of the log are. So the same events
give the same model in whatever order partitions are read, and whatever came later.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from alsobought.holding import holding
from alsobought.options import CommandError
from alsobought.sources import open_events
from chronological import fitting
from chronological.examples import Log
from chronological.model import Model
from chronological.training import Report
from state.customers.actions import Action
from state.customers.events import EventBatch
from state.customers.machine import CustomerMachine
from state.settings import CountingSettings
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import read_all
from streams.kinds import EventKind
from streams.messages.checks import LOG_APPEND_TIME, EventTypes
from streams.messages.decoding import decode_events

SAVE_EVERY_S = 30.0
AT_ONCE = 5_000
FAR_MS = 1 << 60  # a file's rows were not published yet


@dataclass(slots=True)
class _Record:
    """A record, as `streams.messages.decoding.ConsumedRecord`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    timestamp_type: int = LOG_APPEND_TIME


class Collected:
    """The events read so far; those of one customer are in order.

    Attributes
    ----------
    refused : int
        How many records were refused, as the workers refuse them.
    """

    def __init__(self, kind: EventKind, kinds: Sequence[EventKind]) -> None:
        self._types = EventTypes(kind, kinds)
        self._machine = CustomerMachine(CountingSettings())  # for its dictionaries only
        self._batches: list[EventBatch] = []
        self.refused = 0

    def add(self, records: Sequence[_Record]) -> None:
        """Add more records."""
        decoded = decode_events(records, 0, self._machine, self._types, FAR_MS)
        self._batches.append(decoded.batch)
        self.refused += len(decoded.refused)

    def log(self, until_ms: int | None) -> tuple[Log, list[str]]:
        """Return the valid events up to a moment of items that several customers have, and the items' ids.

        `alsobought.holding` defines which events are valid.
        """
        actions, customers, items = (self._column(name) for name in ("actions", "customers", "items"))
        customer_ids, item_ids = list(self._machine.customers), list(self._machine.items)
        quantities = np.where(actions == Action.RETURN, -1, 1) * self._column("quantities")
        bought = holding(customers, items, quantities, actions == Action.FORGET)
        log = Log.of(
            _ranks(customer_ids)[customers[bought]], _ranks(item_ids)[items[bought]],
            self._column("times_ms")[bought], len(item_ids),
        )  # fmt: skip
        small, kept = fitting.well_known(log if until_ms is None else log.before(until_ms + 1))
        _, of_log = np.unique(small.customers, return_inverse=True)
        ids = sorted(item_ids)
        return replace(small, customers=of_log), [ids[n] for n in kept]

    def _column(self, name: str) -> npt.NDArray[np.int64]:
        columns = [getattr(batch, name).astype(np.int64) for batch in self._batches]
        return np.concatenate([np.zeros(0, np.int64), *columns])


def _ranks(ids: list[str]) -> npt.NDArray[np.int64]:
    """Return the place of each in their order."""
    ranks = np.empty(len(ids), np.int64)
    ranks[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    return ranks


def collect(
    kind: EventKind,
    kinds: Sequence[EventKind],
    bootstrap: Bootstrap,
    file: str | None,
    on_events: Callable[[int], None],
) -> Collected:
    """Read the events of a file, or of the kind's topic.

    Raises
    ------
    SourceError
        The file cannot be read.
    KafkaUnreachable, TopicAbsent
    """
    found, count = Collected(kind, kinds), 0
    for some in _of_topic(bootstrap, kind) if file is None else _of_file(file, kind):
        found.add(some)
        count += len(some)
        on_events(count)
    return found


def _of_topic(bootstrap: Bootstrap, kind: EventKind) -> Iterator[list[_Record]]:
    rows = read_all(bootstrap, kind.events)
    now_ms = time.time_ns() // 1_000_000
    return _in_batches(
        _Record(row.offset, row.timestamp_ms if row.by_broker else now_ms, row.key, row.value) for row in rows
    )


def _of_file(file: str, kind: EventKind) -> Iterator[list[_Record]]:
    for batch in open_events(file, kind).records():
        yield [_Record(0, FAR_MS, key, value) for key, value in batch]


def _in_batches(records: Iterable[_Record]) -> Iterator[list[_Record]]:
    some: list[_Record] = []
    for record in records:
        some.append(record)
        if len(some) == AT_ONCE:
            yield some
            some = []
    yield some


class Fit:
    """A training with its place on disk: DIR/training/<kind>-<trained until>.npz until `announced`.

    Parameters
    ----------
    resume
        Whether to continue an interrupted training, on the events up to the same moment; it may have been
        finished.

    Raises
    ------
    CommandError
        There are no events, or nothing to continue.
    BadTrainingFile
        The interrupted training does not fit.
    TooShort
        There is too little to learn from.
    """

    def __init__(
        self, data_dir: Path, kind: EventKind, collected: Collected, seed: int, *, resume: bool
    ) -> None:
        folder = data_dir / "training"
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob(f"{kind.name}-" + "[0-9]" * 13 + ".npz"))
        if resume and not files:
            raise CommandError(f"there is no interrupted training of {kind.name}: leave --resume out.")
        until_ms = int(files[-1].stem.rpartition("-")[2]) if resume else None
        log, self.ids = collected.log(until_ms)
        if not len(log.times_ms):
            raise CommandError(
                f"there is no event of an item that {fitting.LEAST_BUYERS} customers have: publish more"
                f" events to {kind.events.name}, or give a FILE."
            )
        self.until_ms = int(log.times_ms[-1]) if until_ms is None else until_ms
        self._kind, self._file = kind, folder / f"{kind.name}-{self.until_ms:013}.npz"
        self._training = fitting.chronological(log, self.until_ms + 1, seed=seed)
        if resume:
            self._training.resume(self._file)
        else:
            for old in files:
                old.unlink()

    def run(self, on_progress: Callable[[Report], None]) -> Report:
        """Train to the end; the state is saved now and then, and at the end."""
        saved_at = time.monotonic()

        def progress(report: Report) -> None:
            nonlocal saved_at
            on_progress(report)
            if time.monotonic() - saved_at > SAVE_EVERY_S:
                self._training.save(self._file)
                saved_at = time.monotonic()

        with threadpool_limits(1, "blas"):  # matrices are too small for more, and sums stay the same
            self._training.run(progress)
        self._training.save(self._file)
        return self._training.report()

    def model(self, version: int) -> Model:
        """Return the trained model."""
        return Model(self._kind.name, version, self.until_ms, self.ids, self._training.network)

    def announced(self) -> None:
        """Delete the saved training, as the model is announced."""
        self._file.unlink(missing_ok=True)
