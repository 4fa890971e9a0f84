"""The demo's first minute: it prints the lists of some products, line by line as they change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import typer

from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower
from streams.messages.schema import RelatedItems, decode_related, key_text
from streams.topics import RELATED_ITEMS

LINES = 12
BEST = 4
POLL_MS = 100
PATIENCE_S = 60.0
QUIET_S = 5.0  # if none of the lists changed for so long, the demo goes on


class MovingLists:
    """Follows the lists of some items from now on.

    Parameters
    ----------
    items
        Ids of the items whose lists are shown.
    """

    def __init__(self, bootstrap: Bootstrap, items: Sequence[str]) -> None:
        self._follower = Follower(bootstrap, RELATED_ITEMS)
        self._shown = dict.fromkeys(items, "")

    def __enter__(self) -> MovingLists:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._follower.__exit__()

    def show(self, began: float, titles: Mapping[str, str]) -> float | None:
        """Print a line for each change, until there were some or none came for a while.

        Return when the first change came, in seconds from `began` (time.monotonic), or None if no list
        changed in a minute. An item without a title is shown by its id.
        """
        first, lines, until = None, 0, time.monotonic() + PATIENCE_S
        while lines < LINES and time.monotonic() < until:
            rows = self._follower.poll(POLL_MS)
            for row in rows:
                item = key_text(row.key)
                if row.value is None or item not in self._shown or lines == LINES:
                    continue
                line = _line(decode_related(row.value), titles)
                if line != self._shown[item]:
                    self._shown[item] = line
                    seconds = time.monotonic() - began
                    first = seconds if first is None else first
                    lines += 1
                    until = time.monotonic() + QUIET_S
                    typer.echo(f"{seconds:5.1f} s  {line}")
        return first


def _line(message: RelatedItems, titles: Mapping[str, str]) -> str:
    names = [
        titles.get(item) or item for item in (message.item_id, *(e.item_id for e in message.related[:BEST]))
    ]
    return f"{names[0]} ({message.buyers:,} buyers) goes with: {'; '.join(names[1:])}"
