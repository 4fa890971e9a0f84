"""The demo's household: what it has, what it is offered and why, and what it then bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer

from alsobought.advising import Recommenders
from alsobought.clients import ask_owner
from alsobought.commands.lists import titles
from alsobought.commands.recommend import hit_rates
from alsobought.tables import print_table
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import read_all
from streams.kafka.publishing import Record
from streams.kinds import BOUGHT
from streams.messages.schema import decode_event
from streams.topics import PURCHASES, QUALITY

LAST_BOUGHT = 8
OFFERED = 6
SHELVES = ("new", "again")
LIKELY = 12  # items a household should buy in these weeks for the demo to be instructive


class Household:
    """The first household, in order of ids, that buys enough in the records to come."""

    def __init__(self, bootstrap: Bootstrap, coming: Sequence[Record]) -> None:
        self._bootstrap = bootstrap
        events = [decode_event(value) for _, value in coming]
        items = Counter(event.customer_id for event in events)
        enough = [name for name, n in items.items() if n >= LIKELY] or list(items)
        self.id = min(enough, key=lambda name: (len(name), name))
        self.bought = {event.item_id for event in events if event.customer_id == self.id}
        self._offered: dict[str, list[dict[str, Any]]] = {}
        self._names: dict[str, str] = {}

    def show_before(self) -> None:
        """Print the household's history, and what it is offered."""
        history = ask_owner(self._bootstrap, PURCHASES, self.id, "customers")["history"]
        history.sort(key=lambda bought: -bought["last_ms"])
        recommenders = Recommenders(self._bootstrap)
        for shelf in SHELVES:
            question = {"kind": BOUGHT.name, "k": OFFERED, "shelf": shelf}
            self._offered[shelf] = recommenders.recommend(question, [self.id])[self.id]["items"]
        entries = [entry for shelf in self._offered.values() for entry in shelf]
        last = history[:LAST_BOUGHT]
        self._names = titles(
            self._bootstrap,
            {b["item_id"] for b in last} | {i for e in entries for i in (e["item_id"], *e["because"])},
        )
        typer.echo("")
        print_table(
            ["item", "title", "on days"],
            [[b["item_id"], self._name(b["item_id"]), b["days"]] for b in last],
            f"Last bought by household {self.id}, which has bought {len(history):,} different products",
        )
        self._table("new", "New for this household", ["because it bought"])
        self._table("again", "Buy again", [])

    def _table(self, shelf: str, title: str, because: list[str]) -> None:
        typer.echo("")
        print_table(
            ["item", "title", "score", *because],
            [
                [e["item_id"], self._name(e["item_id"]), float(e["score"]),
                 *(["; ".join(map(self._name, e["because"]))] if because else [])]
                for e in self._offered[shelf]
            ],
            title,
        )  # fmt: skip

    def _name(self, item_id: str) -> str:
        return self._names.get(item_id) or item_id

    def _hits(self, shelf: str) -> list[str]:
        offered = [e["item_id"] for e in self._offered[shelf]]
        return [self._name(item) for item in offered if item in self.bought]

    def result(self) -> str:
        """Return in a sentence how much of what it was offered the household then bought."""
        new, again = (f"{len(self._hits(shelf))} of the {len(self._offered[shelf])}" for shelf in SHELVES)
        return f"In two weeks household {self.id} bought {new} new items offered, and {again} to buy again"

    def show_after(self) -> None:
        """Print what of that the household then bought, and how often customers buy what they are offered."""
        typer.echo("")
        typer.echo(
            f"In the two weeks after that, household {self.id} bought {len(self.bought)} different products."
        )
        for shelf, title in (("new", "New for this household"), ("again", "Buy again")):
            hits = self._hits(shelf)
            typer.echo(
                f'Of the {len(self._offered[shelf])} under "{title}" it bought {len(hits)}'
                + (f": {'; '.join(hits)}" if hits else "")
                + "."
            )
        rates = hit_rates(row.value for row in read_all(self._bootstrap, QUALITY) if row.value)[BOUGHT.name]
        typer.echo("")
        print_table(
            ["algorithm", "cases", "hit rate"],
            [
                [name, counted["cases"], f"{counted['hits'] / counted['cases']:.3f}"]
                for name, counted in rates.items()
            ],
            "How often one of the six products shown to a household before a visit was bought in it:"
            " a new one (all: any)",
        )
