"""The rules for events. The worker refuses events that break them, and `publish` does not send them.

Unusable       why something cannot be used: what was expected, and where
check_id       ids of customers, items, events and profiles
check_time     event times, against the time of publishing
EventTypes     the types of events that a topic takes
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from state.customers.actions import Action
from streams.kinds import EventKind
from streams.messages.schema import MAX_ID_BYTES, MAX_QUANTITY

MAX_VALUE_BYTES = 65_536
EARLIEST_MS = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
AHEAD_MS = 24 * 3600 * 1000
"""How far event time may be ahead of the time of publishing."""

LOG_APPEND_TIME = 1  # a record's timestamp_type where the time is the broker's, and not the producer's

_SHOWN = 40  # characters of a value in a message
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # the characters of Unicode's category Cc


class Unusable(ValueError):
    """The reason why a record cannot be used, for the dead letters or the user of `publish`."""


def check_id(name: str, value: str, most_bytes: int = MAX_ID_BYTES) -> None:
    """Raise Unusable unless a value is fit to be an id: 1 to 256 bytes of UTF-8, no control characters.

    >>> check_id("item_id", "7502931")
    >>> check_id("item_id", "a" + chr(7))
    Traceback (most recent call last):
    streams.messages.checks.Unusable: item_id has the control character U+0007
    """
    if not value:
        raise Unusable(f"{name} is missing or empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Unusable(f"{name} holds half a surrogate pair: it cannot be written as UTF-8") from None
    if size > most_bytes:
        raise Unusable(f"{name} has {size} bytes, more than {most_bytes}")
    if control := CONTROL.search(value):
        raise Unusable(f"{name} has the control character U+{ord(control[0]):04X}")


def check_quantity(quantity: int) -> None:
    """Raise Unusable unless a quantity is from 1 to a million."""
    if not 1 <= quantity <= MAX_QUANTITY:
        hint = "; what is taken back is a row of its own, of type return" if quantity < 0 else ""
        raise Unusable(f"quantity {quantity} is not between 1 and {MAX_QUANTITY:,}{hint}")


def check_time(time_ms: int, published_ms: int) -> None:
    """Raise Unusable if an event time, ms since 1970, is absurd: before 1990, or a day after publishing."""
    if time_ms < EARLIEST_MS:
        hint = "; are these seconds?" if time_ms > EARLIEST_MS // 1000 else ""
        raise Unusable(f"timestamp {time_ms} ms is before 1990{hint}")
    if time_ms > published_ms + AHEAD_MS:
        raise Unusable(f"timestamp {time_ms} ms is more than a day after it was published")


def shown(value: object) -> str:
    """Return a value as messages show it, shortened where it is long.

    >>> shown("tea"), shown("x" * 50)[-8:]
    ("'tea'", "xxxx'...")
    """
    text = value if isinstance(value, str) else str(value)
    return repr(value) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}..."


class EventTypes:
    """The types of events that a topic takes.

    >>> from streams.kinds import BOUGHT, WATCHED
    >>> EventTypes(WATCHED, (BOUGHT, WATCHED)).number("purchase")
    Traceback (most recent call last):
    streams.messages.checks.Unusable: type 'purchase' is not for the topic watches: publish it to purchases
    """

    def __init__(self, kind: EventKind, kinds: Sequence[EventKind]) -> None:
        self.kind = kind
        self._topics = {other.word: other.events.name for other in kinds}
        self.numbers: dict[str | None, int] = {
            None: int(Action.PURCHASE), kind.word: int(Action.PURCHASE),
            "return": int(Action.RETURN), "forget": int(Action.FORGET),
        }  # fmt: skip

    def number(self, word: str | None) -> int:
        """Return the value of `state.customers.events.Action` for a type on the wire.

        Raises
        ------
        Unusable
        """
        number = self.numbers.get(word)
        if number is None:
            raise Unusable(self._trouble(word))
        return number

    def _trouble(self, word: str | None) -> str:
        here = self.kind.events.name
        if word in self._topics:
            return f"type {word!r} is not for the topic {here}: publish it to {self._topics[word]}"
        known = ", ".join(str(one) for one in self.numbers if one)
        return f"type {str(word)[:_SHOWN]!r} is none of {known}, which the topic {here} takes"
