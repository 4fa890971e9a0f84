"""The demo's household: what it has, what it is offered and why, and what it then really bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer

from alsobought.clients import ask_owner
from alsobought.commands_lists import titles
from alsobought.commands_recommend import hit_rates
from alsobought.recommending import Recommenders
from alsobought.tables import print_table
from streams.kinds import BOUGHT
from streams.messages import decode_event
from streams.publishing import Record
from streams.topics import PURCHASES, QUALITY
from streams.views import read_all

LAST_BOUGHT = 8
OFFERED = 6
LIKELY = 12  # items a household should buy in these weeks for the demo to tell something


class Household:
    """The first in order of its id that buys enough in the records to come, as they are."""

    def __init__(self, bootstrap: str, coming: Sequence[Record]) -> None:
        self._bootstrap = bootstrap
        events = [decode_event(value) for _, value in coming]
        items = Counter(event.customer_id for event in events)
        enough = [name for name, n in items.items() if n >= LIKELY] or list(items)
        self.id = min(enough, key=lambda name: (len(name), name))
        self.bought = {event.item_id for event in events if event.customer_id == self.id}
        self._offered: dict[str, list[dict[str, Any]]] = {}
        self._names: dict[str, str] = {}

    def tell_before(self) -> None:
        """Print its history, and what it is offered."""
        history = ask_owner(self._bootstrap, PURCHASES, self.id, "customers")["history"]
        history.sort(key=lambda bought: -bought["last_ms"])
        recommenders = Recommenders(self._bootstrap)
        for shelf in ("new", "again"):
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
            ["last bought", "title", "on days"],
            [[b["item_id"], self._name(b["item_id"]), b["days"]] for b in last],
            f"household {self.id}, which has bought {len(history):,} different products",
        )
        self._table("new", "what it is offered that it never had", ["because it bought"])
        self._table("again", "what it may need again", [])

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

    def tell_after(self) -> None:
        """Print which of it the household then bought, and how often that happens."""
        typer.echo("")
        for shelf, what in (("new", "never had"), ("again", "had before")):
            offered = [e["item_id"] for e in self._offered[shelf]]
            hits = [self._name(item) for item in offered if item in self.bought]
            typer.echo(
                f"of the {len(offered)} it {what} it then bought {len(hits)}"
                + (f": {'; '.join(hits)}" * bool(hits))
            )
        typer.echo(f"(it bought {len(self.bought)} different products in these two weeks)")
        rates = hit_rates(row.value for row in read_all(self._bootstrap, QUALITY) if row.value)[BOUGHT.name]
        typer.echo("")
        print_table(
            ["algorithm", "cases", "hit rate"],
            [[name, told["cases"], f"{told['hits'] / told['cases']:.3f}"] for name, told in rates.items()],
            "everybody, live: was a new product of the next basket among the six shown before it?"
            " (all: any product)",
        )
