"""Kinds of events: each has topics, machines and lists of its own, and they never mix.

    bought     purchases   pair-deltas           related-items           popularity           bestsellers ...
    watched    watches     pair-deltas-watched   related-items-watched   popularity-watched   ...
    liked      liked       pair-deltas-liked     related-items-liked     popularity-liked     ...

The first two are always there, others where ALSOBOUGHT_EVENT_TYPES names them. The catalogue is one for all.

One more kind of lists has no events that users publish. It holds what those who watched an item went on to
buy:

    watched-bought   first-events   pair-deltas-watched-bought   related-items-watched-bought

It is counted from the history changes that the machines of purchases and of watches publish to
`first-events`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streams.topics import (
    BESTSELLERS,
    HISTORY_CHANGES,
    ITEMS,
    PAIR_DELTAS,
    POPULARITY,
    PURCHASES,
    RECOMMENDATIONS,
    RELATED_ITEMS,
    SHARED,
    TopicSpec,
)

if TYPE_CHECKING:
    from streams.settings import Settings

EVENTS_SOURCE, CATALOGUE_SOURCE = 0, 1
"""Numbers of the sources in every deltas topic (`state.messages.deltas.Source`); stores have them."""


@dataclass(frozen=True)
class Kind:
    """A kind of lists.

    Attributes
    ----------
    name
        Its name in messages and commands.
    events
        The topic from which everything is counted.
    deltas, lists
        Its other topics.
    """

    name: str
    events: TopicSpec
    deltas: TopicSpec
    lists: TopicSpec

    @property
    def topics(self) -> tuple[TopicSpec, ...]:
        """Its topics, that of events first."""
        return self.events, self.deltas, self.lists

    @property
    def internal(self) -> tuple[TopicSpec, ...]:
        """Those of its topics that only workers write and read."""
        return (self.deltas,)


@dataclass(frozen=True)
class EventKind(Kind):
    """A kind of events.

    Attributes
    ----------
    word
        The type of a plain event in messages; an event without a type has this one.
    popularity, bestsellers, recommendations
        Its further topics.
    """

    word: str
    popularity: TopicSpec
    bestsellers: TopicSpec
    recommendations: TopicSpec

    @property
    def topics(self) -> tuple[TopicSpec, ...]:
        """Its topics, that of events first."""
        return *super().topics, self.popularity, self.bestsellers, self.recommendations


@dataclass(frozen=True)
class CrossKind(Kind):
    """A kind of lists from one kind of events to another.

    Attributes
    ----------
    sides
        The kinds of events whose machines publish history changes, by their numbers there
        (`state.messages.history_changes`).
    """

    sides: tuple[EventKind, ...]

    @property
    def internal(self) -> tuple[TopicSpec, ...]:
        """Those of its topics that only workers write and read."""
        return self.events, self.deltas


def _kind(name: str, word: str, events: TopicSpec) -> EventKind:
    def own(spec: TopicSpec) -> TopicSpec:
        return replace(spec, base=f"{spec.base}-{name}", purpose=f"{spec.purpose}; of {events.base}")

    return EventKind(
        name, events, own(PAIR_DELTAS), own(RELATED_ITEMS), word, own(POPULARITY), own(BESTSELLERS),
        own(RECOMMENDATIONS),
    )  # fmt: skip


BOUGHT = EventKind(
    "bought", PURCHASES, PAIR_DELTAS, RELATED_ITEMS, "purchase", POPULARITY, BESTSELLERS, RECOMMENDATIONS
)
WATCHED = _kind(
    "watched", "watch", replace(PURCHASES, base="watches", purpose="watch events: as purchases, apart")
)
BUILT_IN = (BOUGHT, WATCHED)
WATCHED_BOUGHT = CrossKind(
    "watched-bought",
    HISTORY_CHANGES,
    replace(
        PAIR_DELTAS,
        base="pair-deltas-watched-bought",
        purpose="internal: how history changes affect the counts of a partition's items",
    ),
    replace(
        RELATED_ITEMS,
        base="related-items-watched-bought",
        purpose="what those who watched each item went on to buy",
    ),
    (BOUGHT, WATCHED),
)
LISTED: tuple[Kind, ...] = (*BUILT_IN, WATCHED_BOUGHT)
"""The kinds of lists without further settings."""


def kinds_of(settings: Settings) -> tuple[EventKind, ...]:
    """Return every kind of events that the settings have; `bought` is the first."""
    return (*BUILT_IN, *(_configured(word) for word in settings.event_words))


def _configured(word: str) -> EventKind:
    return _kind(word, word, replace(PURCHASES, base=word, purpose=f"{word} events: as purchases, apart"))


def listed_of(settings: Settings) -> tuple[Kind, ...]:
    """Return every kind of lists that the settings have, those of events first."""
    crossing = (WATCHED_BOUGHT,) if settings.watched_bought_days else ()
    return (*kinds_of(settings), *crossing)


def topics_of(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return every topic that must exist."""
    return topics_of_kinds(listed_of(settings))


def topics_of_kinds(kinds: Iterable[Kind]) -> tuple[TopicSpec, ...]:
    """Return the topics of the kinds, and those that kinds share."""
    return (*(spec for kind in kinds for spec in kind.topics), *SHARED)


def counted_of(settings: Settings) -> tuple[TopicSpec, ...]:
    """Return the topics that state is counted from; a task is a partition of one of these."""
    return counted_of_kinds(listed_of(settings))


def counted_of_kinds(kinds: Iterable[Kind]) -> tuple[TopicSpec, ...]:
    """Return the topics that the state of the kinds is counted from, and the catalogue."""
    return (*(spec for kind in kinds for spec in (kind.events, kind.deltas)), ITEMS)


def is_deltas(topic: str) -> bool:
    """Return whether a topic is the deltas topic of a kind.

    >>> is_deltas("pair-deltas"), is_deltas("pair-deltas-watched"), is_deltas("watches")
    (True, True, False)
    """
    return topic == PAIR_DELTAS.name or topic.startswith(f"{PAIR_DELTAS.name}-")


def is_internal(topic: str) -> bool:
    """Return whether only workers write and read a topic.

    >>> is_internal("pair-deltas-liked"), is_internal("first-events"), is_internal("purchases")
    (True, True, False)
    """
    return is_deltas(topic) or topic == HISTORY_CHANGES.name


TAKEN = frozenset(
    {"return", "forget"}
    | {spec.base for spec in topics_of_kinds(LISTED)}
    | {kind.name for kind in LISTED}
    | {kind.word for kind in BUILT_IN}
)
"""Words that cannot be a further type of events."""

TEMPLATES = tuple(
    spec.base for spec in (PAIR_DELTAS, RELATED_ITEMS, POPULARITY, BESTSELLERS, RECOMMENDATIONS)
)
"""Neither can what begins like the topics that are made for one."""
