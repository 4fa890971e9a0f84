"""Messages in memory: those that came last as they came, all others compressed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from streams.messages.packing import pack, unpack

RECENT_BYTES = 32 << 20
"""So many bytes of messages stay as they came."""


class _Recent(NamedTuple):
    version: int
    raw: bytes


class _Packed(NamedTuple):
    version: int
    packed: bytes


class PackedValues:
    """The newest message of each key.

    Compressing a list takes longer than everything else that is done with it here, and in live traffic the
    lists that have just changed are those that change again. So a message is compressed when newer ones need
    its room, and never if it is replaced before.
    """

    def __init__(self, recent_bytes: int = RECENT_BYTES) -> None:
        self._most = recent_bytes
        self._recent: OrderedDict[str, _Recent] = OrderedDict()  # the one that came last is the last
        self._recent_bytes = 0
        self._packed: dict[str, _Packed] = {}
        self._version = 0

    def put(self, key: str, raw: bytes) -> None:
        """Keep a message in place of the key's last one."""
        before = self._recent.get(key)
        if before is not None and before.raw == raw:
            return
        self.remove(key)
        self._version += 1
        self._recent[key] = _Recent(self._version, raw)
        self._recent_bytes += len(raw)
        while self._recent_bytes > self._most:
            oldest, (version, value) = self._recent.popitem(last=False)
            self._recent_bytes -= len(value)
            # a copy: the compressor cuts its result from a block as large as the message
            self._packed[oldest] = _Packed(version, bytes(memoryview(pack(value))))

    def remove(self, key: str) -> None:
        """Forget a key's message, if it has one."""
        self._packed.pop(key, None)
        recent = self._recent.pop(key, None)
        if recent is not None:
            self._recent_bytes -= len(recent.raw)

    def get(self, key: str) -> bytes | None:
        """Return a key's message as it came, None if it has none."""
        if (recent := self._recent.get(key)) is not None:
            return recent.raw
        packed = self._packed.get(key)
        return None if packed is None else unpack(packed.packed)

    def version(self, key: str) -> int | None:
        """Return a number that is another one for every message of a key; None if it has none."""
        found = self._recent.get(key) or self._packed.get(key)
        return None if found is None else found.version

    def __contains__(self, key: str) -> bool:
        """Return whether a key has a message."""
        return key in self._recent or key in self._packed

    def __len__(self) -> int:
        """Return how many keys have a message."""
        return len(self._recent) + len(self._packed)

    def __iter__(self) -> Iterator[str]:
        """Return the keys."""
        yield from self._packed
        yield from self._recent
