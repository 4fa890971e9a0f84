"""Tests of the loads that compile kernels without counting anything."""

from __future__ import annotations

from state.items.machine import ItemMachine
from state.messages.deltas import Source, decode, encode, nothing
from state.messages.pair_changes import decode_pairs, encode_pairs, no_pairs


def test_messages_in_which_nothing_happened_are_messages() -> None:
    machine = ItemMachine()
    assert machine.apply(decode(encode(nothing(Source(0, 0), 7)))) == 0
    assert machine.apply_pairs(decode_pairs(encode_pairs(no_pairs(Source(1, 0), 3)))) == 3
    assert (machine.row_count, machine.position, machine.gaps_seen) == (0, 2, 0)
    assert {source: state.end for source, state in machine.sources.items()} == {
        Source(0, 0): 7,
        Source(1, 0): 3,
    }
