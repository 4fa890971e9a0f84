"""A customer's record, HISTORY: its bytes are described in `state.storage.codec`."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from state.customers import event_rings, history_memory, purchase_logs
from state.customers import histories as hs
from state.storage.codec import RecordKind, frame, reads_records, unframe

_HISTORY = struct.Struct("<qqIIII")
_ENTRY_BYTES = 32


def pack_history(
    h: hs.Histories, customer: int, customer_id: str, included: int, profiles: list[str]
) -> bytes:
    """Return a HISTORY record of a customer with some profiles."""
    columns = history_memory.read(h, customer)
    ring, log = event_rings.read_ring(h, customer), purchase_logs.read_log(h, customer)
    head = _HISTORY.pack(
        included, int(h.seen[customer]), len(columns[0]), len(ring), len(log),
        int(h.today[customer]),
    )  # fmt: skip
    names = "\0".join([customer_id, *profiles]).encode()
    parts = [head, *(c.tobytes() for c in columns), ring.tobytes(), log.tobytes(), names]
    return frame(RecordKind.HISTORY, b"".join(parts))


@reads_records
def history_customer(key: bytes, raw: bytes) -> tuple[str, list[str]]:
    """Return the customer whose HISTORY record it is, and the customer's profiles."""
    payload = unframe(RecordKind.HISTORY, key, raw)
    customer_id, *profiles = payload[_history_bytes(payload) :].decode().split("\0")
    return customer_id, profiles


@reads_records
def history_entries(key: bytes, raw: bytes) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Return the items of a HISTORY record, and when each was first bought."""
    payload = unframe(RecordKind.HISTORY, key, raw)
    _, _, n, *_ = _HISTORY.unpack_from(payload)
    items = np.frombuffer(payload, np.uint32, n, _HISTORY.size)
    return items, np.frombuffer(payload, np.int64, n, _HISTORY.size + 8 * n)


def _history_bytes(payload: bytes) -> int:
    """Return the length of a HISTORY's payload without the ids."""
    _, _, items, ring, log, _ = _HISTORY.unpack_from(payload)
    return int(_HISTORY.size + _ENTRY_BYTES * items + 8 * (ring + log))


@reads_records
def unpack_history(h: hs.Histories, customer: int, key: bytes, raw: bytes) -> int:
    """Put a HISTORY record into a history that is empty; return the offset that the record includes."""
    payload = unframe(RecordKind.HISTORY, key, raw)
    included, seen, n, ring, log, today = _HISTORY.unpack_from(payload)
    at = _HISTORY.size
    columns: list[Any] = []
    for dtype in (np.uint32, np.uint32, np.int64, np.int64, np.uint32, np.float32):
        columns.append(np.frombuffer(payload, dtype, n, at).copy())
        at += columns[-1].nbytes
    hashes = np.frombuffer(payload, np.uint64, ring, at).copy()
    columns += [hashes, seen, np.frombuffer(payload, np.uint64, log, at + hashes.nbytes).copy()]
    history_memory.write(h, customer, *columns)
    h.today[customer] = today
    return int(included)
