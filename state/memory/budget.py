"""How a machine's memory budget is divided.

A budget is for what grows with the log and can be read back from the store: rows or histories, and the
dictionary of item ids. The arrays with a fixed size per item or row are not part of it (see
docs/decisions/0007).
"""

from __future__ import annotations

from state.memory.ids import ENTRY_BYTES

IDS_SHARE = 8  # one part in so many
KEPT = 0.75  # of the budget after shrinking, so that not every message shrinks


def ids_limit(budget_bytes: int | None) -> int | None:
    """Return how many ids a dictionary may keep in memory."""
    return None if budget_bytes is None else budget_bytes // IDS_SHARE // ENTRY_BYTES


def records_bytes(budget_bytes: int) -> int:
    """Return how many bytes rows or histories may take."""
    return budget_bytes - budget_bytes // IDS_SHARE
