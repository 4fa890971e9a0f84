"""Messages between the machines: there and back, and refused when they are not whole."""

from __future__ import annotations

import numpy as np
import pytest

from state import deltas as dl
from state.customers import CustomerMachine
from state.errors import BadDelta
from state.settings import CountingSettings
from tests.state.machines import hashed, shop


def _messages() -> list[dl.Deltas]:
    machine = CustomerMachine(CountingSettings(window=4), dl.Source(2, 7), 3, hashed(3))
    events = shop(51, 500, 12, 40, returns=0.2, forgets=0.02)
    return [
        message
        for start in range(0, 500, 100)
        for messages in machine.apply(machine.batch(events[start : start + 100])).deltas
        for message in messages
    ]


def test_deltas_round_trip() -> None:
    messages = _messages()
    assert any(len(m.gone_events) for m in messages)
    assert any(len(m.taken) for m in messages)
    for message in messages:
        raw = dl.encode(message)
        assert dl.message_type(raw) == dl.Type.COUNTS
        decoded = dl.decode(raw)
        assert decoded[:6] == message[:6]
        for name in message._fields[6:]:
            one, other = getattr(message, name), getattr(decoded, name)
            np.testing.assert_array_equal(one, other, name)
            assert one.dtype == other.dtype, name
        assert dl.encode(decoded) == raw


def test_a_message_of_nothing_round_trips() -> None:
    machine = CustomerMachine()
    message = machine.apply(machine.batch([])).deltas[0][0]
    decoded = dl.decode(dl.encode(message))
    assert (decoded.first, decoded.end, len(decoded.offsets)) == (0, 0, 0)


@pytest.mark.parametrize("ids", [[], ["tea"], ["Grüße", "日本", "x" * 256]])
def test_availability_round_trips(ids: list[str]) -> None:
    flags = np.arange(len(ids)).astype(np.uint8) % 2
    message = dl.Availability(dl.Source(1, 3), 5, 9, ids, flags)
    raw = dl.encode_availability(message)
    assert dl.message_type(raw) == dl.Type.CATALOGUE
    decoded = dl.decode_availability(raw)
    assert decoded[:4] == message[:4]
    assert decoded.available.tolist() == flags.tolist()


def test_what_is_no_message_is_refused() -> None:
    raw = dl.encode(_messages()[0])
    for bad, reason in (
        (b"", "not a pair-deltas message: starts with b''"),
        (b"AD", "not a pair-deltas message"),
        (b"{}" + raw[2:], r"not a pair-deltas message: starts with b'\{\}"),
        (b"AD\x04" + raw[3:], "has layout 4, this program reads 3"),
        (b"AD\x02" + raw[3:], "has layout 2, this program reads 3.*alsobought rebuild"),
        (b"AD\x03\x09" + raw[4:], "has unknown type 9"),
    ):
        with pytest.raises(BadDelta, match=reason):
            dl.message_type(bad)
    with pytest.raises(BadDelta, match="is SETTLE, not COUNTS"):
        dl.decode(dl.encode_settle())
    with pytest.raises(BadDelta, match="is COUNTS, not CATALOGUE"):
        dl.decode_availability(raw)
    assert dl.message_type(dl.encode_settle()) == dl.Type.SETTLE


def test_a_truncated_message_is_refused_wherever_it_ends() -> None:
    raw = dl.encode(max(_messages(), key=lambda m: len(m.gone_items)))
    for size in range(0, len(raw) - 8, 3):
        with pytest.raises(BadDelta, match=r"not a pair-deltas message|no whole header|message ends after"):
            dl.decode(raw[:size])
    flags = np.ones(2, np.uint8)
    raw = dl.encode_availability(dl.Availability(dl.Source(0, 0), 0, 1, ["tea", "milk"], flags))
    for size in range(len(raw) - 8):
        with pytest.raises(BadDelta, match=r"not a pair-deltas message|no whole header|message ends after"):
            dl.decode_availability(raw[:size])


def test_an_id_that_is_not_utf_8_is_refused() -> None:
    flags = np.ones(1, np.uint8)
    raw = dl.encode_availability(dl.Availability(dl.Source(0, 0), 0, 1, ["tea"], flags))
    with pytest.raises(BadDelta, match="an id that is not UTF-8"):
        dl.decode_availability(raw.replace(b"tea", b"\xff\xff\xff"))
