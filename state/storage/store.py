"""What a store of a machine's records can do, and a store in memory; `rocks_store` has the one on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

Records = list[tuple[bytes, bytes | None]]
"""Keys and values to put; None deletes."""


class Store(Protocol):
    """A map from keys to values, both bytes; a write is all or nothing."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, None if there is none."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that start with `prefix`, ascending, with their values, as of the first."""

    def write(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Put and delete all records in order, or none of them."""

    def flush(self, *, wait: bool) -> None:
        """Make what was written outlast the process. Without it, a crash may lose the newest writes."""

    def purge(self, keys: list[bytes]) -> None:
        """Really remove the bytes of values that were deleted or replaced at these keys."""

    def close(self) -> None:
        """Close the store; it can be opened again."""


class MemoryStore:
    """A store that ends with the process.

    >>> store = MemoryStore()
    >>> store.write([(b"a1", b"x"), (b"b1", b"y"), (b"a0", b"z")])
    >>> list(store.scan(b"a")), store.get(b"c")
    ([(b'a0', b'z'), (b'a1', b'x')], None)
    """

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value, None if there is none."""
        return self.records.get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""
        return [self.records.get(key) for key in keys]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that start with `prefix`, ascending, with their values."""
        yield from sorted(item for item in self.records.items() if item[0].startswith(prefix))

    def write(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Put and delete all records in order."""
        for key, value in records:
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value

    def flush(self, *, wait: bool) -> None:
        """Do nothing: this store does not outlast the process."""

    def purge(self, keys: list[bytes]) -> None:
        """Do nothing: deleted values are gone."""

    def close(self) -> None:
        """Do nothing."""
