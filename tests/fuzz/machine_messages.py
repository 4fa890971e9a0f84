"""Decoders of what machines send one another, and of what they store, each with valid examples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

import numpy as np

from chronological.errors import BadModel
from chronological.model import decode as decode_model
from chronological.model import encode as encode_model
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.errors import BadDelta, CorruptRecord, UnknownLayout
from state.items.machine import ItemMachine
from state.messages import deltas as dl
from state.messages.delta_types import Type, decode_settle, encode_settle, message_type
from state.messages.pair_changes import PairChanges, decode_pairs, encode_pairs
from state.messages.transfer import Step, Transfer, decode_message, encode_message
from state.settings import CountingSettings
from state.storage.codec import FRAME_BYTES, RecordKind, frame
from state.watched_bought.machine import CrossingMachine
from streams.stores.checkpoints.errors import BadManifest
from streams.stores.checkpoints.manifest import Checkpoint, StoredFile
from streams.stores.checkpoints.manifest import decode as decode_manifest
from streams.stores.checkpoints.manifest import encode as encode_manifest
from tests.chronological.test_model import model
from tests.state.machines import each, hashed, shop
from tests.state.storage.test_codec import RECORDS

SETTINGS = CountingSettings(window=4, row_capacity=16, list_length=5)


def _history(events: list[Event], topic: int) -> CustomerMachine:
    return CustomerMachine(
        SETTINGS, dl.Source(topic, 0), 2, each(hashed(2)), publishes_as=dl.Source(topic, 0)
    )


def deltas() -> Iterator[bytes]:
    """Yield messages of each type in pair-deltas, which a machine without any counts."""
    machine = CustomerMachine(SETTINGS, dl.Source(0, 0), 2, each(hashed(2)))
    events = shop(5, 120, 6, 12, returns=0.2, forgets=0.05)
    for message in machine.apply(machine.batch(events)).deltas[0]:
        yield dl.encode(message)
    flags = np.array([1, 0], np.uint8)
    yield dl.encode_availability(dl.Availability(dl.Source(3, 0), 0, 2, ["i1", "i2"], flags))
    yield encode_settle(1_700_000_000_000_000_000)
    yield from map(encode_pairs, pairs())


@cache
def pairs() -> list[PairChanges]:
    """Return what follows from watches and then purchases: the second message has pairs of both."""
    crossing = CrossingMachine(SETTINGS, dl.Source(0, 0), 2, each(hashed(2)), days=3_650)
    events = shop(7, 60, 5, 10, returns=0.2, forgets=0.05)
    found: list[PairChanges] = []
    for topic in (1, 0):
        machine = _history(events, topic)
        for message in machine.apply(machine.batch(events)).history_changes:
            found += crossing.apply(message)[0]
    return found


def take_delta(raw: bytes) -> str:
    """Apply a message as an item task does, and rank what it may have changed."""
    machine, rows = ItemMachine(SETTINGS), 0
    try:
        kind = message_type(raw)
        if kind == Type.COUNTS:
            machine.apply(dl.decode(raw))
        elif kind == Type.PAIRS:
            machine.apply_pairs(pairs()[0])
            rows = machine.row_count
            machine.apply_pairs(decode_pairs(raw))
        elif kind == Type.CATALOGUE:
            machine.apply_availability(dl.decode_availability(raw))
        else:
            return f"settle {decode_settle(raw) > 0}"
    except BadDelta as error:
        assert machine.row_count == rows, "a refused message changed the counts"
        return str(error)
    machine.rank(np.arange(machine.row_count), exact=True)
    return f"applied {kind.name}"


def history_changes() -> Iterator[bytes]:
    """Yield messages of first-events."""
    events = shop(7, 60, 5, 10, returns=0.2, forgets=0.05)
    for topic in (1, 0):
        machine = _history(events, topic)
        for message in machine.apply(machine.batch(events)).history_changes:
            yield encode_message(message)
            yield encode_message(Transfer(Step.LAST, dl.Source(0, 0), 5, message))
    yield encode_message(Transfer(Step.ASK, dl.Source(1, 0)))
    yield encode_message(Transfer(Step.BEGIN, dl.Source(0, 0), 5))


def take_history_changes(raw: bytes) -> str:
    """Apply a message as a crossing task does, within the transfer that the examples belong to."""
    machine = CrossingMachine(SETTINGS, dl.Source(0, 0), 2, each(hashed(2)))
    machine.apply(Transfer(Step.BEGIN, dl.Source(0, 0), 5))
    try:
        message = decode_message(raw)
    except BadDelta as error:
        return str(error)
    for messages in machine.apply(message):
        for pairs in messages:
            again = decode_pairs(encode_pairs(pairs))
            items = ItemMachine(SETTINGS)
            items.apply_pairs(again)
            items.rank(np.arange(items.row_count), exact=True)
    return f"applied {type(message).__name__}"


def records() -> Iterator[bytes]:
    """Yield stored records, each behind the number of its kind; 100 more: the checksum is made to fit."""
    for number, (raw, _) in enumerate(RECORDS.values()):
        yield bytes([number]) + raw
        yield bytes([100 + number]) + raw


def take_record(raw: bytes) -> str:
    """Read a stored record."""
    number, record = (raw[0] if raw else 0), raw[1:]
    unpack = list(RECORDS.values())[number % 100 % len(RECORDS)][1]
    if number >= 100 and len(record) > FRAME_BYTES and record[1] in set(RecordKind):
        record = frame(RecordKind(record[1]), record[FRAME_BYTES:])
    try:
        unpack(record)
    except (CorruptRecord, UnknownLayout) as error:
        return type(error).__name__ + (" of one with its checksum" if number >= 100 else "")
    return "read"


def manifests() -> Iterator[bytes]:
    """Yield the manifest of a checkpoint."""
    files = [
        StoredFile("000012.sst", 4_096, hashlib.sha256(b"x").hexdigest()),
        StoredFile("CURRENT", 16, "", "c"),
    ]
    yield encode_manifest(
        Checkpoint(
            task="purchases-3", number=4, name="4-7", position=7, log="counted 1", created_ms=1, files=files
        )
    )


def take_manifest(raw: bytes) -> str:
    """Read a manifest."""
    try:
        decode_manifest(raw)
    except BadManifest as error:
        return str(error)
    return "read"


def models() -> Iterator[bytes]:
    """Yield the file of a model."""
    yield encode_model(model())


def take_model(raw: bytes) -> str:
    """Read a file whose checksum was announced as it is."""
    try:
        decode_model(raw, hashlib.sha256(raw).hexdigest())
    except BadModel as error:
        return str(error)
    return "read"
