"""A customer's record, HISTORY: its bytes are described in `state.codec`."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from state import event_rings
from state import histories as hs
from state.codec import Kind, frame, unframe

_HISTORY = struct.Struct("<qqII")
_ENTRY_BYTES, _OLD_ENTRY_BYTES = 32, 24  # an item, in this layout and in 1


def pack_history(
    h: hs.Histories, customer: int, customer_id: str, included: int, profiles: list[str]
) -> bytes:
    """A HISTORY record of a customer with some profiles."""
    columns = hs.read(h, customer)
    ring = event_rings.read_ring(h, customer)
    head = _HISTORY.pack(included, int(h.seen[customer]), len(columns[0]), len(ring))
    names = "\0".join([customer_id, *profiles]).encode()
    parts = [head, *(c.tobytes() for c in columns), ring.tobytes(), names]
    return frame(Kind.HISTORY, b"".join(parts))


def history_customer(key: bytes, raw: bytes) -> tuple[str, list[str]]:
    """Whose HISTORY record it is, and the customer's profiles."""
    payload = unframe(Kind.HISTORY, key, raw)
    customer_id, *profiles = payload[_history_bytes(payload) :].decode().split("\0")
    return customer_id, profiles


def upgrade_history(key: bytes, raw: bytes, customer_id: str) -> tuple[bytes, int, int]:
    """A HISTORY record of layout 1 in this layout, and how many items and event ids it has."""
    payload = unframe(Kind.HISTORY, key, raw, layout=1)
    _, seen, items, _ = _HISTORY.unpack_from(payload)
    at = _HISTORY.size + _OLD_ENTRY_BYTES * items
    added = np.ones(items, np.uint32).tobytes() + np.ones(items, np.float32).tobytes()
    return frame(Kind.HISTORY, payload[:at] + added + payload[at:] + customer_id.encode()), items, seen


def history_items(key: bytes, raw: bytes) -> int:
    """How many items a HISTORY record has."""
    items: int = _HISTORY.unpack_from(unframe(Kind.HISTORY, key, raw))[2]
    return items


def _history_bytes(payload: bytes) -> int:
    """Length of a HISTORY's payload without the id."""
    _, _, items, ring = _HISTORY.unpack_from(payload)
    return int(_HISTORY.size + _ENTRY_BYTES * items + 8 * ring)


def unpack_history(h: hs.Histories, customer: int, key: bytes, raw: bytes) -> int:
    """Put a HISTORY record into a history that is empty; returns the offset it includes."""
    payload = unframe(Kind.HISTORY, key, raw)
    included, seen, n, ring = _HISTORY.unpack_from(payload)
    at = _HISTORY.size
    columns: list[Any] = []
    for dtype in (np.uint32, np.uint32, np.int64, np.int64, np.uint32, np.float32):
        columns.append(np.frombuffer(payload, dtype, n, at).copy())
        at += columns[-1].nbytes
    hashes = np.frombuffer(payload, np.uint64, ring, at).copy()
    columns += [hashes, seen]
    hs.write(h, customer, *columns)
    return int(included)
