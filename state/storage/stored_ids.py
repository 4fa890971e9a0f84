"""The dictionary of a store, record by record: I and the id to its number, N and the number to its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from state.errors import CorruptRecord
from state.storage import codec
from state.storage.store import Records, Store


class StoredIds:
    """Reads and packs the records of one dictionary."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def numbers_of(self, names: Sequence[str]) -> list[int | None]:
        """Return the number of each id, None if it is not stored."""
        keys = [_id_key(name) for name in names]
        return [
            None if raw is None else codec.unpack_number(key, raw)
            for key, raw in zip(keys, self._store.get_many(keys), strict=True)
        ]

    def ids_of(self, numbers: Sequence[int]) -> list[str]:
        """Return the id of each number, all of which are stored.

        Raises
        ------
        CorruptRecord
            If one is missing.
        """
        keys = [_number_key(number) for number in numbers]
        return [_unpack(key, raw) for key, raw in zip(keys, self._store.get_many(keys), strict=True)]

    def all(self) -> Iterator[str]:
        """Yield every id, by number."""
        for number, (key, raw) in enumerate(self._store.scan(b"N")):
            if key != _number_key(number):
                raise CorruptRecord(f"record {_number_key(number)!r} is missing")
            yield codec.unpack_id(key, raw)

    @staticmethod
    def records(first: int, names: Sequence[str]) -> Records:
        """Return the records of ids with numbers from `first` on."""
        return [
            record
            for number, name in enumerate(names, first)
            for record in (
                (_id_key(name), codec.pack_number(number)),
                (_number_key(number), codec.pack_id(name)),
            )
        ]


def _id_key(name: str) -> bytes:
    # a query may name an invalid id, such as half a surrogate pair
    return b"I" + name.encode("utf-8", "surrogatepass")


def _number_key(number: int) -> bytes:
    return b"N" + number.to_bytes(4, "big")


def _unpack(key: bytes, raw: bytes | None) -> str:
    if raw is None:
        raise CorruptRecord(f"record {key!r} is missing")
    return codec.unpack_id(key, raw)
