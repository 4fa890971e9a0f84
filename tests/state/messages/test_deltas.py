"""Messages between the machines are encoded and decoded, and refused when they are not whole."""

from __future__ import annotations

import numpy as np
import pytest

from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.routing import LIVE_EVENTS
from state.errors import BadDelta
from state.messages import delta_types as dt
from state.messages import deltas as dl
from state.settings import CountingSettings
from tests.state.machines import START_MS, each, hashed, shop


def _messages() -> list[dl.Deltas]:
    machine = CustomerMachine(CountingSettings(window=4), dl.Source(2, 7), 3, each(hashed(3)))
    events = shop(51, 500, 12, 40, returns=0.2, forgets=0.02)
    return [
        message
        for start in range(0, 500, 100)
        for messages in machine.apply(machine.batch(events[start : start + 100])).deltas
        for message in messages
    ]


def test_deltas_round_trip() -> None:
    messages = _messages()
    assert any(m.gone for m in messages)
    assert any(len(m.taken) for m in messages)
    for message in messages:
        raw = dl.encode(message)
        assert dt.message_type(raw) == dt.Type.COUNTS
        decoded = dl.decode(raw)
        arrays = message._fields.index("hashes")
        assert decoded[:arrays] == message[:arrays]
        for name in message._fields[arrays:]:
            one, other = getattr(message, name), getattr(decoded, name)
            np.testing.assert_array_equal(one, other, name)
            assert one.dtype == other.dtype, name
        assert dl.encode(decoded) == raw


def test_a_message_of_nothing_round_trips() -> None:
    decoded = dl.decode(dl.encode(dl.nothing(dl.Source(0, 3), 7)))
    assert (decoded.source, decoded.first, decoded.end, decoded.events) == (dl.Source(0, 3), 0, 7, 0)


def test_a_partition_gets_only_events_that_concern_it() -> None:
    """It gets events of its own items and of their neighbours, and no message without such an event."""
    machine = CustomerMachine(CountingSettings(window=2), partitions=4, partitions_of=each(int))
    first, second, third = (
        [[dl.columns_of(m.words, m.events, m.near, m.gone, m.histories) for m in to] for to in deltas]
        for deltas in (
            machine.apply(machine.batch([Event("ann", item, START_MS + n)])).deltas
            for n, item in enumerate("012")
        )
    )
    assert [len(to) for to in first] == [1, 0, 0, 0]
    assert [len(to) for to in second] == [1, 1, 0, 0]
    assert [len(to) for to in third] == [1, 1, 1, 0]
    distances = [[int(near) >> dl.DISTANCE_BITS for near in to[0].near] for to in third[:3]]
    assert distances == [[2], [1], [1, 2]]  # all ids of the item's partition, one of each neighbour's
    again = machine.apply(machine.batch([Event("ann", "2", START_MS)])).deltas
    assert [len(to) for to in again] == [0, 0, 1, 0]  # a repeat changes no pair
    (message,) = again[2]
    assert (message.previous, message.first, message.end) == (3, 3, 4)
    (message,) = machine.apply(machine.batch([Event("ann", "1", START_MS)])).deltas[1]
    assert (message.previous, message.first) == (3, 4)  # the events in between did not concern it


def test_an_id_is_sent_once_and_to_others_where_few_events_are_counted_at_once() -> None:
    def sent(events: list[Event]) -> list[list[list[str]]]:
        return [[m.new_ids for m in to] for to in machine.apply(machine.batch(events)).deltas]

    machine = CustomerMachine(CountingSettings(window=2), partitions=2, partitions_of=each(len))
    machine.partitions_of = each(lambda name: len(name) - 1)
    assert sent([Event("ann", "a", START_MS)]) == [[["a"]], []]
    assert sent([Event("ann", "bb", START_MS)]) == [[["bb"]], [["bb"]]]
    assert sent([Event("bob", "a", START_MS), Event("bob", "bb", START_MS)]) == [[[]], [[]]]
    many = [Event(f"c{n}", item, START_MS) for n in range(LIVE_EVENTS // 2 + 1) for item in ("c", "dd")]
    # the whole batch is large, though only half of its events concern the second partition
    assert sent(many) == [[["c"]], [["dd"]]]


@pytest.mark.parametrize("ids", [[], ["tea"], ["Grüße", "日本", "x" * 256]])
def test_availability_round_trips(ids: list[str]) -> None:
    flags = np.arange(len(ids)).astype(np.uint8) % 2
    message = dl.Availability(dl.Source(1, 3), 5, 9, ids, flags)
    raw = dl.encode_availability(message)
    assert dt.message_type(raw) == dt.Type.CATALOGUE
    decoded = dl.decode_availability(raw)
    assert decoded[:4] == message[:4]
    assert decoded.available.tolist() == flags.tolist()


def test_bytes_that_are_no_message_are_refused() -> None:
    raw = dl.encode(_messages()[0])
    for bad, reason in (
        (b"", "not a pair-deltas message: starts with b''"),
        (b"AD", "not a pair-deltas message"),
        (b"{}" + raw[2:], r"not a pair-deltas message: starts with b'\{\}"),
        (b"AD\x05" + raw[3:], "has layout 5, this program reads 4"),
        (b"AD\x03" + raw[3:], "has layout 3, this program reads 4.*alsobought rebuild"),
        (b"AD\x04\x09" + raw[4:], "its type is 9"),
    ):
        with pytest.raises(BadDelta, match=reason):
            dt.message_type(bad)
    with pytest.raises(BadDelta, match="of type COUNTS but SETTLE"):
        dl.decode(dt.encode_settle(1))
    with pytest.raises(BadDelta, match="of type CATALOGUE but COUNTS"):
        dl.decode_availability(raw)
    settle = dt.encode_settle(1 << 50)
    assert dt.message_type(settle) == dt.Type.SETTLE
    assert dt.decode_settle(settle) == 1 << 50
    with pytest.raises(BadDelta, match="SETTLE of 8 bytes"):
        dt.decode_settle(settle[:8])


def test_a_truncated_message_is_refused_wherever_it_ends() -> None:
    raw = dl.encode(max(_messages(), key=lambda m: m.histories))
    for size in range(0, len(raw) - 8, 3):
        with pytest.raises(BadDelta, match=r"not a pair-deltas message|no whole header|it ends after"):
            dl.decode(raw[:size])
    flags = np.ones(2, np.uint8)
    raw = dl.encode_availability(dl.Availability(dl.Source(0, 0), 0, 1, ["tea", "milk"], flags))
    for size in range(len(raw) - 8):
        with pytest.raises(BadDelta, match=r"not a pair-deltas message|no whole header|it ends after"):
            dl.decode_availability(raw[:size])


def test_an_id_that_is_not_utf_8_is_refused() -> None:
    flags = np.ones(1, np.uint8)
    raw = dl.encode_availability(dl.Availability(dl.Source(0, 0), 0, 1, ["tea"], flags))
    with pytest.raises(BadDelta, match="an id is not UTF-8"):
        dl.decode_availability(raw.replace(b"tea", b"\xff\xff\xff"))
