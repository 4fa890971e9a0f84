"""Writing a machine to its store in a slow rolling sweep, and reading it back.

Kafka's log is the write-ahead log, so nothing is lost by writing late; what has to be bounded is the replay.
A sweep begins at a position P, then writes what changed before P, a few records at a time, each as it is
now and with the offset it includes; when the last is written, the store's META says: replay from P. A replay
skips what a record already includes. So no moment writes everything, and a crash in the middle of a sweep
leaves a store that is right, only older.
"""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
import numpy.typing as npt

from state import codec
from state.errors import BadSettings
from state.store import Store

META = b"m"


def key(prefix: bytes, number: int) -> bytes:
    """Key of a numbered record."""
    return prefix + number.to_bytes(4, "big")


def number_of(raw: bytes) -> int:
    """The number in a key."""
    return int.from_bytes(raw[-4:], "big")


def stored_position(store: Store) -> int:
    """Offset that a store's machine would replay from; 0 for an empty store.

    Raises
    ------
    UnknownLayout, CorruptRecord
    """
    raw = store.get(META)
    return 0 if raw is None else int(codec.unpack_meta(META, raw)["position"])


class Saver(abc.ABC):
    """Keeps one machine's store; see `CustomerSaver` and `ItemSaver`.

    Attributes
    ----------
    stored : int
        Position a restart replays from.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.stored = 0
        self._queue: npt.NDArray[np.int64] | None = None
        self._at = 0
        self._begun_at = 0
        self._meta: dict[str, Any] = {}

    @abc.abstractmethod
    def load(self) -> None:
        """Fill the empty machine from the store; its position is then where to replay from."""

    @abc.abstractmethod
    def position(self) -> int:
        """The machine's position."""

    @abc.abstractmethod
    def begin_at(self, position: int) -> None:
        """Let an empty machine begin at an offset of the log other than 0."""

    @abc.abstractmethod
    def _begin(self) -> tuple[dict[str, Any], list[tuple[bytes, bytes]], npt.NDArray[np.int64]]:
        """META of now, records to write at once, and the numbers of the changed ones to write by and by."""

    @abc.abstractmethod
    def _pack(self, number: int) -> tuple[bytes, bytes]:
        """One changed record as it is now; clears its mark."""

    @abc.abstractmethod
    def _appended(self) -> list[tuple[bytes, bytes]]:
        """What has been appended (dictionaries) since it was last written."""

    @property
    def sweeping(self) -> bool:
        """Whether a sweep is under way."""
        return self._queue is not None

    def step(self, share: float) -> None:
        """Write a share (0 to 1) of the sweep's records; begins a sweep if none is under way.

        Everything the machine has applied must be safe to store: its deltas acknowledged.
        """
        records: list[tuple[bytes, bytes]] = []
        if self._queue is None:
            self._begun_at = self.position()
            self._meta, records, self._queue = self._begin()
            self._at = 0
        stop = min(len(self._queue), self._at + max(16, int(share * len(self._queue)) + 1))
        records += [self._pack(int(number)) for number in self._queue[self._at : stop]]
        self._at = stop
        # dictionaries first: what the records name must be readable
        records = self._appended() + records
        if stop == len(self._queue):
            records.append((META, codec.pack_meta(self._meta)))
            self._queue = None
        self.store.write(records)
        if self._queue is None:
            self.stored = self._begun_at

    def save_all(self) -> None:
        """Write everything, so that a restart replays nothing."""
        if self._queue is not None:
            self.step(1.0)
        if self.stored < self.position():
            self.step(1.0)

    def close(self) -> None:
        """Close the store; what is not saved is replayed."""
        self.store.close()

    @staticmethod
    def check(meta: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Compare what the store was made with to the settings of now.

        Raises
        ------
        BadSettings
            If they differ; the message names the setting.
        """
        for name, value in wanted.items():
            if meta.get(name) != value:
                raise BadSettings(
                    f"the stored state was made with {name} {meta.get(name)}, now it is {value}: "
                    f"set {name} back, or use another data directory and a group of its own"
                )
