"""Write a machine to its store by fuzzy checkpoints, in a slow rolling sweep, and read it back.

The technique is the fuzzy checkpoint of ARIES (Mohan, Haderle, Lindsay, Pirahesh and Schwarz, ARIES: A
Transaction Recovery Method, ACM TODS 17(1), 1992): records are written while the machine goes on, and each
record has its included offset, the offset of the last event that it includes, as a page has its pageLSN in
ARIES. A replay skips what a record already includes.

Kafka's log is the write-ahead log, so nothing is lost by writing late; only the length of the replay must be
bounded. A sweep begins at a position P. It then writes the records that changed before P, a few at a time,
each as it is at that moment and with its included offset. When the last is written, the store's META gets P
as the position to replay from. So there is no moment in which everything is written, and a crash in the
middle of a sweep leaves a store that is correct, only older.
"""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from state.errors import BadSettings, ForeignLog
from state.storage import codec
from state.storage.files import read_one
from state.storage.store import Records, Store

META, TOTALS = b"m", b"k"
BEFORE = {"most_a_day": 0}
"""The settings of stores that were made before a setting existed."""


def key(prefix: bytes, number: int) -> bytes:
    """Return the key of a numbered record."""
    return prefix + number.to_bytes(4, "big")


def number_of(raw: bytes) -> int:
    """Return the number in a key."""
    return int.from_bytes(raw[-4:], "big")


def stored_position(store: Store) -> int:
    """Return the offset that a store's machine would replay from; 0 for an empty store.

    Raises
    ------
    UnknownLayout, CorruptRecord
    """
    return _position(store.get(META))


def stored_position_in(folder: Path) -> int:
    """Return the offset that the machine of the store in a folder would replay from.

    Another process may have the store open.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    return _position(read_one(folder, META))


def _position(raw: bytes | None) -> int:
    return 0 if raw is None else int(codec.unpack_meta(META, raw)["position"])


def stored_log(store: Store) -> str | None:
    """Return which Kafka topics a store was counted from.

    It is None for an empty store, and "" for a store that does not record it.

    Raises
    ------
    UnknownLayout, CorruptRecord
    """
    raw = store.get(META)
    return None if raw is None else str(codec.unpack_any_meta(META, raw).get("log") or "")


LEAST_SHARE = 0.02  # of a sweep per step, so that it also ends where few events come


class Pace:
    """How much of a sweep each step writes, so that a restart replays at most a budget.

    A sweep takes half of the budget, because a crash replays the sweep before and the one under way.

    Parameters
    ----------
    budget
        The work that a restart may replay, such as seconds of counting.
    done
        The work so far.

    >>> pace = Pace(1.0, 5.0)
    >>> round(pace.share(5.1), 3), pace.share(5.1), pace.share(9.0)
    (0.2, 0.02, 1.0)
    """

    def __init__(self, budget: float, done: float) -> None:
        self._budget, self._done = budget, done

    def share(self, done: float) -> float:
        """Return the share (0 to 1) of the sweep to write now that so much work is done."""
        share = 2 * (done - self._done) / self._budget
        self._done = done
        return min(1.0, max(share, LEAST_SHARE))


class Saver(abc.ABC):
    """Keeps one machine's store; see `CustomerSaver` and `ItemSaver`.

    Parameters
    ----------
    store
        The store, of this machine alone.
    log
        Which Kafka topics the machine reads; a store of other topics is refused. None: any topics.

    Attributes
    ----------
    stored : int
        The position that a restart replays from.
    """

    def __init__(self, store: Store, log: str | None = None) -> None:
        self.store = store
        self.stored = 0
        self._log = log
        self._has_meta = False
        self._queue: npt.NDArray[np.int64] | None = None
        self._at = 0
        self._begun_at = 0
        self._meta: dict[str, Any] = {}

    @abc.abstractmethod
    def load(self) -> None:
        """Fill the empty machine from the store; its position is then the one to replay from.

        Raises
        ------
        BadSettings, ForeignLog, UnknownLayout, CorruptRecord
        """

    @abc.abstractmethod
    def position(self) -> int:
        """Return the machine's position."""

    @abc.abstractmethod
    def begin_at(self, position: int) -> None:
        """Let an empty machine begin at an offset of the log other than 0."""

    @abc.abstractmethod
    def _identity(self) -> dict[str, Any]:
        """Return the settings that the state depends on, as META has them."""

    @abc.abstractmethod
    def _begin(self) -> tuple[dict[str, Any], Records, npt.NDArray[np.int64]]:
        """Return META as of now, records to write at once, and the numbers of changed ones to write in the
        sweep.
        """

    @abc.abstractmethod
    def _pack(self, numbers: list[int]) -> Records:
        """Return the changed ones of these records as they are now, and clear their marks."""

    @abc.abstractmethod
    def _appended(self) -> Records:
        """Return what other records refer to (dictionaries) and was not
        written yet, and what must be erased.
        """

    @property
    def sweeping(self) -> bool:
        """Whether a sweep is under way."""
        return self._queue is not None

    def step(self, share: float, most: int | None = None) -> float:
        """Write a share (0 to 1) of the sweep's records; begin a sweep if none is under way.

        With `most`, no more than so many records are written. Return the share that is left, 0 when the sweep
        has ended. Everything that the machine has applied must be safe to store: its deltas must be
        acknowledged.
        """
        records: Records = []
        if self._queue is None:
            self._begun_at = self.position()
            meta, records, self._queue = self._begin()
            self._meta = self._complete(meta)
            self._at = 0
        size = len(self._queue)
        due = min(size, self._at + max(16, int(share * size) + 1))
        stop = due if most is None else min(due, self._at + most)
        records += self._pack(self._queue[self._at : stop].tolist())
        self._at = stop
        if stop == size:
            records.append((META, codec.pack_meta(self._meta)))
            self._queue = None
        self._write(records)
        if self._queue is None:
            self.store.flush(wait=False)
            self.stored = self._begun_at
            self._swept()
        return (due - stop) / max(size, 1)

    def save_all(self) -> None:
        """Write everything, so that a restart replays nothing."""
        if self._queue is not None:
            self.step(1.0)
        if self.stored < self.position():
            self.step(1.0)

    def check(self) -> None:
        """Raise the error of the disk, if a write failed since: the end of a sweep is not waited for."""
        self.store.write([])

    def over_budget(self) -> bool:
        """Return whether `shrink` is due. Machines whose state is safe to store at any time shrink by
        themselves.
        """
        return False

    def shrink(self) -> None:  # noqa: B027
        """Bring the machine back into its budget, under the same condition as `step`."""

    def close(self) -> None:
        """Close the store; what is not saved will be replayed."""
        self.store.close()

    def _open(self) -> dict[str, Any] | None:
        """Return META of the store, None if it is empty.

        Raises
        ------
        BadSettings, ForeignLog, UnknownLayout, CorruptRecord
        """
        raw = self.store.get(META)
        meta = None
        if raw is not None:
            meta = codec.unpack_meta(META, raw)
            self._check(meta)
            self._has_meta = True
            self.stored = int(meta["position"])
            self._log = self._log or meta.get("log")
        return meta

    def _check(self, meta: dict[str, Any]) -> None:
        for name, value in self._identity().items():
            stored = meta.get(name, BEFORE.get(name))
            if stored != value:
                raise BadSettings(
                    f"the stored state was made with {name} {stored}, now it is {value}: "
                    f"set {name} back, or use another data directory and a group of its own"
                )
        counted = meta.get("log")  # a store whose META has no log is assumed to be of these topics
        if self._log is not None and counted is not None and counted != self._log:
            raise ForeignLog(
                f"the stored state was counted from other topics ({counted}) than those of now ({self._log}):"
                " run `alsobought rebuild` to count these from their beginning, or set the address of"
                " the cluster back"
            )

    def _complete(self, meta: dict[str, Any]) -> dict[str, Any]:
        return self._identity() | {"log": self._log} | meta

    def _write(self, records: Records) -> None:
        """Write records, after those that they refer to."""
        records = self._appended() + records
        if not self._has_meta and all(key != META for key, _ in records):
            # records without META would be accepted for any log and any settings
            records.append((META, codec.pack_meta(self._complete({"position": self.stored, **self._born()}))))
        self.store.write(records)
        self._has_meta = True

    def _born(self) -> dict[str, Any]:
        """Return what META has before a machine's first sweep has ended."""
        return {}

    def _swept(self) -> None:  # noqa: B027
        """Do what is due when a sweep has ended."""
