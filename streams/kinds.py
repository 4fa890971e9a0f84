"""Kinds of events: each has topics, machines and lists of its own, and they never mix.

    bought     purchases   pair-deltas           related-items           bestsellers           recommendations
    watched    watches     pair-deltas-watched   related-items-watched   bestsellers-watched   ...
    liked      liked       pair-deltas-liked     related-items-liked     bestsellers-liked     ...

The first two are always there, others where ALSOBOUGHT_EVENT_TYPES names them. The catalogue is one for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streams.topics import (
    BESTSELLERS,
    ITEMS,
    PAIR_DELTAS,
    PURCHASES,
    RECOMMENDATIONS,
    RELATED_ITEMS,
    SHARED,
    TopicSpec,
)

if TYPE_CHECKING:
    from streams.settings import Settings

EVENTS_SOURCE, CATALOGUE_SOURCE = 0, 1
"""Numbers of the sources in every deltas topic (`state.deltas.Source`); stores have them."""


@dataclass(frozen=True)
class EventKind:
    """A kind of events.

    Attributes
    ----------
    name
        In messages and commands.
    word
        Type of a plain event on the wire, and the type of one that says none.
    events
        The topic of the events; all else is counted from it.
    deltas, lists, bestsellers, recommendations
        Its other topics.
    """

    name: str
    word: str
    events: TopicSpec
    deltas: TopicSpec
    lists: TopicSpec
    bestsellers: TopicSpec
    recommendations: TopicSpec


def _kind(name: str, word: str, events: TopicSpec) -> EventKind:
    def own(spec: TopicSpec) -> TopicSpec:
        return replace(spec, name=f"{spec.name}-{name}", purpose=f"{spec.purpose}; of {events.name}")

    return EventKind(
        name, word, events, own(PAIR_DELTAS), own(RELATED_ITEMS), own(BESTSELLERS), own(RECOMMENDATIONS)
    )


BOUGHT = EventKind("bought", "purchase", PURCHASES, PAIR_DELTAS, RELATED_ITEMS, BESTSELLERS, RECOMMENDATIONS)
WATCHED = _kind(
    "watched", "watch", replace(PURCHASES, name="watches", purpose="watch events: as purchases, apart")
)
BUILT_IN = (BOUGHT, WATCHED)


def kinds_of(settings: Settings) -> tuple[EventKind, ...]:
    """Every kind of events that the settings have; `bought` is the first."""
    return (*BUILT_IN, *(_configured(word) for word in settings.event_words))


def _configured(word: str) -> EventKind:
    return _kind(word, word, replace(PURCHASES, name=word, purpose=f"{word} events: as purchases, apart"))


def topics_of(settings: Settings) -> tuple[TopicSpec, ...]:
    """Every topic there has to be."""
    return topics_of_kinds(kinds_of(settings))


def topics_of_kinds(kinds: Iterable[EventKind]) -> tuple[TopicSpec, ...]:
    """Those of the kinds, one after the other, and those that kinds share."""
    own = ((k.events, k.deltas, k.lists, k.bestsellers, k.recommendations) for k in kinds)
    return (*(spec for some in own for spec in some), *SHARED)


def counted_of(settings: Settings) -> tuple[TopicSpec, ...]:
    """The topics that state is counted from; a task is a partition of one of these."""
    return counted_of_kinds(kinds_of(settings))


def counted_of_kinds(kinds: Iterable[EventKind]) -> tuple[TopicSpec, ...]:
    """Those of the kinds, and the catalogue."""
    return (*(spec for kind in kinds for spec in (kind.events, kind.deltas)), ITEMS)


def is_deltas(topic: str) -> bool:
    """Whether it is the deltas topic of a kind.

    >>> is_deltas("pair-deltas"), is_deltas("pair-deltas-watched"), is_deltas("watches")
    (True, True, False)
    """
    return topic == PAIR_DELTAS.name or topic.startswith(f"{PAIR_DELTAS.name}-")


TAKEN = frozenset(
    {"return", "forget", "watched-bought"}
    | {spec.name for spec in topics_of_kinds(BUILT_IN)}
    | {text for kind in BUILT_IN for text in (kind.name, kind.word)}
)
"""Words that cannot be a further type of events."""

TEMPLATES = tuple(spec.name for spec in (PAIR_DELTAS, RELATED_ITEMS, BESTSELLERS, RECOMMENDATIONS))
"""Neither can what begins like the topics that are made for one."""
