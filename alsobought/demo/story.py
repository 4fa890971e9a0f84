"""The steps of the demo.

It shows lists that change while the first weeks of a year of real purchases are counted, loads all but the
last two weeks, measures freshness, shows lists, and follows a household through the last two weeks.
"""

from __future__ import annotations

import os
import sys
import time
import webbrowser
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import typer

from alsobought.clients import NotHeld, ask_owner
from alsobought.commands.lists import titles
from alsobought.commands.publish import first
from alsobought.commands.publish import run as publish
from alsobought.demo.household import Household
from alsobought.demo.moving import MovingLists
from alsobought.draining import drain
from alsobought.local.stack import Stack
from alsobought.meter import Meter
from alsobought.saying import say
from alsobought.sources import open_items, open_purchases
from alsobought.sources.complete_journey import NAME
from alsobought.tables import print_table
from streams.connections.bootstrap import Bootstrap
from streams.kafka.publishing import Record
from streams.kinds import BUILT_IN
from streams.messages.schema import encode
from streams.settings import Settings
from streams.topics import ITEMS, PAIR_DELTAS, PURCHASES

FIRST_WEEKS = 60_000  # purchases, at the beginning of the year: few, so that lists are there in seconds
TWO_WEEKS = 55_000  # purchases, at the end of the year
FRESH = 2_000
FRESH_RATE = 200.0
DRAIN_S = 900.0
SHOWN = ("1082185", "1098066", "982833", "1136988", "5568729")  # bananas, buns, tacos, baby food, chips
COMPARED = "5568729"  # chips: most bought together with them is what everybody buys
BEST = 6
RAW = 10
CATCH_UP_MS = 2_000

AddStep = Callable[[str, str], None]


def run(settings: Settings, limit: int | None, *, stay: bool) -> None:
    """Run the demo; with `stay`, leave the stack running until a signal interrupts it."""
    began = time.monotonic()
    if "catch_up_ms" not in settings.model_fields_set:
        # lists shall move while the year is loaded, though that takes somewhat longer then
        settings = settings.model_copy(update={"catch_up_ms": CATCH_UP_MS})
    with Stack(settings, port=0, workers=1, say=say) as stack:
        bootstrap, page = stack.bootstrap, stack.serve_page(0, buying=True)
        say(f"the page is at {page}: open it, and watch what follows there, too")
        if stay:
            _open(page)
        purchases = first(open_purchases(NAME).records(), limit)
        add_step = _Story(stack, page).add
        add_step(
            "The first weeks of a year are counted: watch the bananas' list move", f"items?item={SHOWN[0]}"
        )
        begun = _show_moving(bootstrap, purchases, FIRST_WEEKS if limit is None else limit // 4, began)
        add_step("The rest of the year is loaded: the pulse, and the system as it works", "system")
        with Meter(bootstrap) as meter:
            held = _load(bootstrap, begun, purchases, limit, meter)
            loaded = f"after {meter.seconds:.1f} s: {meter.totals()}"
        say(f"all counted, listed and recommended from {loaded}")
        add_step(f"Now {FRESH_RATE:g} purchases a second: cards light up as their lists change", "shop")
        _measure(bootstrap, held[:FRESH])
        _show(bootstrap, add_step)
        _follow(bootstrap, held[FRESH:], add_step)
        if stay:
            _what_next(settings, page)
            stack.wait()


class _Story:
    """What the demo does, on the page and in the terminal, each step with the view that shows it."""

    def __init__(self, stack: Stack, page: str) -> None:
        self._stack, self._page = stack, page

    def add(self, title: str, view: str) -> None:
        """Add a step."""
        say(f"{title}: {self._page}/#{view}")
        self._stack.add_step(title, view)


def _open(page: str) -> None:
    """Open the page in a browser if there is a screen; elsewhere it would be a browser in this terminal."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(page)


def _show_moving(
    bootstrap: Bootstrap, purchases: Iterator[Sequence[Record]], count: int, began: float
) -> list[Record]:
    """Publish the first `count` purchases and the catalogue, and show lists as they change.

    Return what was read of the purchases beyond them.
    """
    records: list[Record] = []
    for batch in purchases:
        records += batch
        if len(records) >= count:
            break
    say(f"the first {count:,} purchases; lists as they change:")
    with MovingLists(bootstrap, SHOWN) as lists:
        publish(bootstrap, PURCHASES, [records[:count]])
        products = [item for batch in open_items(NAME).messages() for item in batch]
        publish(bootstrap, ITEMS, [[(item.item_id.encode(), encode(item)) for item in products]])
        moved = lists.show(began, {item.item_id: item.title or "" for item in products})
    if moved is not None:
        say(f"first lists moved after {moved:.1f} s")
    return records[count:]


def _load(
    bootstrap: Bootstrap,
    begun: Sequence[Record],
    rest: Iterable[Sequence[Record]],
    limit: int | None,
    meter: Meter,
) -> list[Record]:
    """Publish all purchases but the last few, which are returned, and wait until all is counted."""
    held: deque[Record] = deque(begun)
    keep = TWO_WEEKS if limit is None else min(TWO_WEEKS, limit // 10)

    def load() -> Iterator[Sequence[Record]]:
        for batch in rest:
            held.extend(batch)
            if ready := [held.popleft() for _ in range(max(0, len(held) - keep))]:
                yield ready

    report = publish(bootstrap, PURCHASES, load())
    say(f"published {report.records:,} purchases more in {report.seconds:.1f} s")
    drain(bootstrap, BUILT_IN, DRAIN_S, meter.waits_for)
    return list(held)


def _measure(bootstrap: Bootstrap, held: list[Record]) -> None:
    """Publish the purchases held back, at a rate that leaves no backlog,
    and print how fresh the lists are.
    """
    say(f"{len(held):,} more, {FRESH_RATE:g} a second:")
    with Meter(bootstrap) as meter:
        publish(bootstrap, PURCHASES, [held], rate=FRESH_RATE)
    # Not before: draining also refreshes lists whose change was too small to be published when it happened.
    drain(bootstrap, BUILT_IN, DRAIN_S, lambda _left: None)
    typer.echo(f"from publishing a purchase to its changed lists: {meter.latency()}")


def _follow(bootstrap: Bootstrap, coming: list[Record], add_step: AddStep) -> None:
    """Show a household before and after the rest of the purchases is counted."""
    if not coming:
        return
    household = Household(bootstrap, coming)
    household.show_before()
    add_step(
        f"Household {household.id}: its history, and what it is offered", f"customers?customer={household.id}"
    )
    say(f"{len(coming):,} more purchases, what all households bought then:")
    with Meter(bootstrap) as meter:
        publish(bootstrap, PURCHASES, [coming])
        drain(bootstrap, BUILT_IN, DRAIN_S, meter.waits_for)
    say(f"counted, listed and recommended from after {meter.seconds:.1f} s")
    household.show_after()
    add_step(household.result(), f"customers?customer={household.id}")
    add_step("How often each algorithm was right, for all households", "quality")


def _show(bootstrap: Bootstrap, add_step: AddStep) -> None:
    lists = {}
    for item_id in SHOWN:
        try:
            lists[item_id] = ask_owner(bootstrap, PAIR_DELTAS, item_id, "related", {"k": BEST})
        except NotHeld:
            say(f"{item_id}: not among the purchases published")
    raw = (
        ask_owner(bootstrap, PAIR_DELTAS, COMPARED, "items")["most_together"][:RAW]
        if COMPARED in lists
        else []
    )
    ids = {*lists, *(e["item_id"] for found in lists.values() for e in found["related"])}
    names = titles(bootstrap, ids | {e["item_id"] for e in raw})
    for item_id, found in lists.items():
        typer.echo("")
        print_table(
            ["item", "title", "score", "together", "expected"],
            [
                [
                    e["item_id"],
                    names.get(e["item_id"], ""),
                    float(e["score"]),
                    e["together"],
                    float(e["expected"]),
                ]
                for e in found["related"]
            ],
            f"Related to {names.get(item_id, '')} ({item_id}, {found['buyers']:,} buyers)",
        )
    if raw:
        typer.echo("")
        print_table(
            ["item", "title", "together"],
            [[e["item_id"], names.get(e["item_id"], ""), e["together"]] for e in raw],
            f"{names.get(COMPARED, '')}, by raw count: what everybody buys, with or without it",
        )
        add_step(
            "Chips: the corrected list, and beside it the bananas of raw counts",
            f"items?item={COMPARED}&raw=1",
        )


def _what_next(settings: Settings, page: str) -> None:
    where = f"--data-dir {settings.data_dir}"
    typer.echo(f"""
It is still running; its page: {page}
Try, in another terminal:
  alsobought related {COMPARED} --titles {where}
  alsobought watch {where}
  alsobought inspect item {COMPARED} {where}
  alsobought dead-letters {where}
Ctrl-C ends it.""")
