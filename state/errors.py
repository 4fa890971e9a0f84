"""The errors of the machines and their stores.

StateError
├── OutOfReservedMemory   an arena is full, or the system refuses address space
├── BadSettings           a setting is out of range, or differs from that of the store
├── BadDelta              another version wrote a message, or a message does not fit
│   └── NoMessage         a record was not written by a machine: it is no whole, consistent message
└── StoreError
    ├── UnknownLayout     another version wrote the store
    ├── CorruptRecord     the bytes of a record are not those that were written
    ├── ForeignLog        the store was counted from other Kafka topics than the present ones
    ├── StoreLocked       another process has the store open
    └── StoreFull         the disk has no room
"""

from __future__ import annotations


class StateError(Exception):
    """Base of all errors of `state`."""


class OutOfReservedMemory(StateError):
    """An arena is full: raise the limit that the message names, or run
    with more partitions (one arena each).
    """


class BadSettings(StateError):
    """A setting is wrong: set what the message names back, or rebuild the state with the new setting."""


class BadDelta(StateError):
    """A topic of the machines holds a message of another version, or one that does not follow the last."""


class NoMessage(BadDelta):
    """A record in one of the machines' own topics is by somebody else: skip it and report it."""


class StoreError(StateError):
    """Base of errors of the stored state."""


class UnknownLayout(StoreError):
    """Another version wrote the store: open it with that version, or rebuild it with `alsobought rebuild`."""


class CorruptRecord(StoreError):
    """The disk lost or changed bytes: remove the store's folder, and the worker rebuilds it from the log."""


class ForeignLog(StoreError):
    """The topics were deleted and created again: run `alsobought rebuild`, or use the earlier cluster."""


class StoreLocked(StoreError):
    """Another worker has this folder open: stop it, or give this worker another data directory."""


class StoreFull(StoreError):
    """The disk is full: free space and start the worker again; it continues from what it last wrote."""
