"""Read and write binary messages: columns one after the other, each padded to 8 bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from state.errors import NoMessage

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # which no id has; stored records separate ids by one

MOST_OFFSET = 1 << 62
MOST_MINUTE = 150_000_000  # of the year 2255: times up to it fit into every column


def require(fits: Any, what: str, where: str) -> None:
    """Raise NoMessage unless a part of a message fits the others."""
    if not fits:
        raise NoMessage(f"not a {what} message: its {where} do not fit together")


def require_below(numbers: npt.NDArray[Any], end: int, what: str, where: str) -> None:
    """Raise NoMessage unless all of some unsigned numbers are below `end`."""
    require(len(numbers) == 0 or int(numbers.max()) < end, what, where)


def require_ascending(offsets: npt.NDArray[np.uint32], end: int, what: str) -> None:
    """Raise NoMessage unless offsets ascend and are below `end`."""
    require_below(offsets, end, what, "offsets")
    require((offsets[1:] >= offsets[:-1]).all(), what, "offsets")


def are_times(times_ms: npt.NDArray[np.int64]) -> bool:
    """Return whether all are times that the machines can count with."""
    most = MOST_MINUTE * 60_000
    return bool(((times_ms >= -most) & (times_ms <= most)).all())


class Writer:
    """Collects the parts of a message."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def put(self, raw: bytes) -> None:
        """Append bytes, and padding up to 8 bytes."""
        self.parts.append(raw)
        if len(raw) % 8:
            self.parts.append(bytes(8 - len(raw) % 8))

    def ids(self, names: Sequence[str]) -> None:
        """Append ids: u16 lengths, then all of them in UTF-8."""
        ids = [name.encode() for name in names]
        self.put(np.array([len(name) for name in ids], np.uint16).tobytes())
        self.put(b"".join(ids))

    def message(self) -> bytes:
        """Return the whole message."""
        return b"".join(self.parts)


class Reader:
    """Splits a message into its parts, from byte `at` on; without `padded`, columns follow each other at
    once.

    Raises
    ------
    NoMessage
        From every method, if the bytes end too early or are no ids; `what` names the message.
    """

    def __init__(self, raw: bytes, at: int, what: str = "pair-deltas", *, padded: bool = True) -> None:
        # writable, so that kernels see one type of array whether a message was decoded or not
        self.raw, self.at, self._what, self.padded = bytearray(raw), at, what, padded

    def array(self, dtype: type, n: int) -> npt.NDArray[np.generic]:
        """Return a column of n values."""
        start, n_bytes = self.at, np.dtype(dtype).itemsize * n
        self.at += n_bytes + (-n_bytes % 8 if self.padded else 0)
        if start + n_bytes > len(self.raw):
            raise NoMessage(
                f"not a {self._what} message: it ends after {len(self.raw)} bytes, not {start + n_bytes}"
            )
        return np.frombuffer(self.raw, dtype, n, start)

    def ids(self, n: int) -> list[str]:
        """Return the ids that `Writer.ids` wrote."""
        lengths = self.array(np.uint16, n)
        blob = self.array(np.uint8, int(lengths.sum())).tobytes()
        ends = np.cumsum(lengths).tolist()
        try:
            names = [blob[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]
        except UnicodeDecodeError as error:
            raise NoMessage(f"not a {self._what} message: an id is not UTF-8: {error}") from error
        if _CONTROL.search("".join(names)):
            raise NoMessage(f"not a {self._what} message: an id has a control character")
        return names
