"""Read and write binary messages: columns one after the other, each padded to 8 bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from state.errors import BadDelta


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
    BadDelta
        From every method, if the bytes end too early or are no text; `what` names the message.
    """

    def __init__(self, raw: bytes, at: int, what: str = "pair-deltas", *, padded: bool = True) -> None:
        # writable, so that kernels see one type of array whether a message was decoded or not
        self.raw, self.at, self._what, self.padded = bytearray(raw), at, what, padded

    def array(self, dtype: type, n: int) -> npt.NDArray[np.generic]:
        """Return a column of n values."""
        start, n_bytes = self.at, np.dtype(dtype).itemsize * n
        self.at += n_bytes + (-n_bytes % 8 if self.padded else 0)
        if start + n_bytes > len(self.raw):
            raise BadDelta(
                f"{self._what} message ends after {len(self.raw)} bytes, {start + n_bytes} expected"
            )
        return np.frombuffer(self.raw, dtype, n, start)

    def ids(self, n: int) -> list[str]:
        """Return the ids that `Writer.ids` wrote."""
        lengths = self.array(np.uint16, n)
        blob = self.array(np.uint8, int(lengths.sum())).tobytes()
        ends = np.cumsum(lengths).tolist()
        try:
            return [blob[a:b].decode() for a, b in zip([0, *ends], ends, strict=False)]
        except UnicodeDecodeError as error:
            raise BadDelta(f"{self._what} message has an id that is not UTF-8: {error}") from error
