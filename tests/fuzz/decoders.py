"""Every decoder of the project, by name: what it is given, and what takes it in.

`take` returns in a few words what became of an input. It raises for nothing but a fault of the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tests.fuzz import http, machine_messages, published
from tests.fuzz.damage import damaged, damaged_json

INPUTS = Path(__file__).parent / "inputs"


class _Given(NamedTuple):
    examples: Callable[[], Iterator[bytes]]
    take: Callable[[bytes], str]
    json: bool = False


class Decoder(_Given):
    """A decoder and its valid inputs."""

    @cached_property
    def strategy(self) -> Any:
        """Return the strategy of inputs that nearly are valid."""
        return (damaged_json if self.json else damaged)(list(self.examples()))


DECODERS = {
    "events": Decoder(published.events, published.take_event, json=True),
    "catalogue": Decoder(published.catalogue, published.take_item, json=True),
    "pair-deltas": Decoder(machine_messages.deltas, machine_messages.take_delta),
    "first-events": Decoder(machine_messages.history_changes, machine_messages.take_history_changes),
    "records": Decoder(machine_messages.records, machine_messages.take_record),
    "manifests": Decoder(machine_messages.manifests, machine_messages.take_manifest, json=True),
    "models": Decoder(machine_messages.models, machine_messages.take_model),
    "popularity": Decoder(published.popularity, published.take_popularity, json=True),
    "lists": Decoder(published.lists, published.take_list, json=True),
    "learnt": Decoder(published.learnt, published.take_learnt, json=True),
    "page": Decoder(published.anything, published.take_anything, json=True),
    "http": Decoder(http.requests, http.take_request),
}


def kept(name: str) -> list[Path]:
    """Return the inputs that once found a fault of a decoder."""
    return sorted((INPUTS / name).glob("*.bin"))
