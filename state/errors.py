"""What can go wrong in the machines and their stores.

StateError
├── OutOfReservedMemory   an arena is full or the system refuses address space
├── BadSettings           a setting out of range, or unlike those the store was made with
├── BadDelta              a pair-delta message that cannot be read or does not fit
│   └── NoMessage         a record that no machine wrote
└── StoreError
    ├── UnknownLayout     written by another version
    ├── CorruptRecord     bytes that cannot be what was written
    ├── ForeignLog        counted from other Kafka topics than those of now
    ├── StoreLocked       another process has the store open
    └── StoreFull         the disk has no room
"""

from __future__ import annotations


class StateError(Exception):
    """Base of all errors of `state`."""


class OutOfReservedMemory(StateError):
    """Raise the limit the message names, or run with more partitions (each has its own arena)."""


class BadSettings(StateError):
    """Set what the message names back, or rebuild the state from the log with the new setting."""


class BadDelta(StateError):
    """The pair-deltas topic holds a message of another version or a damaged one."""


class NoMessage(BadDelta):
    """A record in one of the machines' own topics is by somebody else: skip it and report it."""


class StoreError(StateError):
    """Base of errors of the stored state."""


class UnknownLayout(StoreError):
    """Open the store with the version of alsobought that wrote it, or rebuild it from the log."""


class CorruptRecord(StoreError):
    """The disk lost or changed bytes: remove the store's folder to rebuild it from the log."""


class ForeignLog(StoreError):
    """The topics were made anew: run `alsobought rebuild`, or point the worker at the cluster it had."""


class StoreLocked(StoreError):
    """Stop the other worker that has this folder open, or give this one another data directory."""


class StoreFull(StoreError):
    """Free space on the disk and start the worker again: it goes on from what it last wrote."""
