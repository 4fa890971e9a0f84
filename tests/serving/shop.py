"""A small shop's messages, and a recommender that answers, written by hand so that every number is known."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from serving.read_model import ReadModel
from streams.kinds import (
    BOUGHT,
    BUILT_IN,
    LISTED,
    WATCHED,
    WATCHED_BOUGHT,
    EventKind,
    Kind,
    counted_of_kinds,
)
from streams.messages.schema import REPORTED, CatalogueItem, Progress, RelatedItem, RelatedItems, encode
from streams.recommending.messages import Quality, RankerState, Recommendations, Recommended, Seller, Sellers
from streams.topics import ITEMS, PROGRESS, QUALITY, RANKER

PARTITIONS = 2
WORKER = "http://worker"
ANSWERED = ("purchases", "pair-deltas")
"""Topics whose worker can be asked."""
NOW_MS = 1_750_075_200_000
NASTY = '<img src=x onerror="document.title=1"><b>Tea & "Co"</b>'
"""A title that must be shown as it is."""


class Message(NamedTuple):
    """A record to publish; without a value a tombstone."""

    topic: str
    key: str
    value: bytes | None


def message(topic: str, key: str, value: Any) -> Message:
    return Message(topic, key, None if value is None else encode(value))


def model_with(*messages: Message) -> ReadModel:
    """Return a model of the kinds that are always there, with some messages."""
    model = ReadModel(BUILT_IN)
    for topic, key, value in messages:
        model.take(topic, key.encode(), value, 0)
    return model


def catalogue() -> Iterator[Message]:
    titles = {
        "tea": NASTY, "milk": "Milk, 1 l", "jam": "Strawberry jam", "bread": "Wholemeal bread",
        "a/b c": "Odd Ünit jam", "gone": "Sold out sugar",
    }  # fmt: skip
    for n, (item_id, title) in enumerate(titles.items()):
        category, brand = ("drinks", "Assam & Co") if item_id in ("tea", "milk") else ("food", None)
        item = CatalogueItem(
            item_id=item_id, title=title, category=category, brand=brand, price=n + 0.5,
            available=item_id != "gone",
        )  # fmt: skip
        yield message(ITEMS.name, item_id, item)


def a_list(kind: Kind, item_id: str, buyers: int, *related: str) -> Message:
    entries = [RelatedItem(other, 9.0 - n, 20 - n, 10 - n, 7.5, 3.25 + n) for n, other in enumerate(related)]
    reported = RelatedItems(item_id, kind.name, NOW_MS, 11, buyers, 99, 12.5, entries)
    return message(kind.lists.name, item_id, reported)


def sellers(kind: EventKind, key: str, category: str | None, *items: str) -> Message:
    trending = key.startswith("trending")
    reported = [Seller(name, 50 - n, 4.5 - n if trending else None) for n, name in enumerate(items)]
    value = Sellers(kind=kind.name, category=category, trending=trending, as_of=NOW_MS, items=reported)
    return message(kind.bestsellers.name, key, value)


def offered(kind: EventKind, customer: str, profile: str | None, *items: Recommended) -> Message:
    value = Recommendations(
        customer_id=customer, profile_id=profile, kind=kind.name, as_of=NOW_MS, variant="test",
        items=list(items),
    )  # fmt: skip
    key = customer if profile is None else f"{customer}\t{profile}"
    return message(kind.recommendations.name, key, value)


def tallied(
    partition: int, day: str, algorithm: str, cases: int, hits: int, variant: str | None = None
) -> Message:
    reported = Quality(
        kind="bought", partition=partition, day=day, algorithm=algorithm, variant=variant, cases=cases,
        hits=hits,
    )  # fmt: skip
    return message(QUALITY.name, f"bought/{partition}/{day}/{algorithm}/{variant or ''}", reported)


def learnt(partition: int, cases: float, weight: float) -> Message:
    rankers = {"new": {"cases": cases, "features": {"day14": [weight, 1.0, 1.0], "lift": [-0.5, 1.0, 1.0]}}}
    state = RankerState(kind="bought", partition=partition, rankers=rankers)
    return message(RANKER.name, f"bought/{partition}", state)


def reports(answers: str) -> Iterator[Message]:
    for topic in (spec.name for spec in counted_of_kinds(LISTED)):
        for partition in range(PARTITIONS):
            worker = answers if topic in ANSWERED else WORKER
            reported = Progress(
                task=f"{topic}-{partition}", worker=worker, applied=7, stored=5, events=70, dead_letters=2,
                lists=3, staleness_ms=250.0, latency_p50_ms=40.0, latency_p99_ms=-1.0,
            )  # fmt: skip
            yield message(PROGRESS.name, reported.task, reported)
    for kind in BUILT_IN:
        for partition in range(PARTITIONS):
            reported = Progress(
                task=f"{REPORTED}{kind.events.name}-{partition}", worker=answers, applied=7, stored=5,
                recommended=6, model=12,
            )  # fmt: skip
            yield message(PROGRESS.name, reported.task, reported)
    begins = Progress(task="beginning of purchases-0", worker="", applied=0, stored=0)
    yield message(PROGRESS.name, begins.task, begins)


def messages(answers: str) -> Iterator[Message]:
    """Return all records; processes that can be asked answer at the address."""
    yield from catalogue()
    yield from reports(answers)
    yield a_list(BOUGHT, "tea", 41, "milk", "jam", "unlisted")
    yield a_list(BOUGHT, "milk", 90, "tea")
    yield a_list(BOUGHT, "a/b c", 3, "tea")
    yield a_list(BOUGHT, "unlisted", 2, "tea")
    yield a_list(WATCHED, "tea", 7, "bread")
    yield a_list(WATCHED_BOUGHT, "tea", 12, "milk")
    yield sellers(BOUGHT, "all", None, "milk", "tea", "jam")
    yield sellers(BOUGHT, "category:drinks", "drinks", "milk", "tea")
    yield sellers(BOUGHT, "trending", None, "jam")
    yield sellers(BOUGHT, "trending:food", "food", "jam")
    yield offered(
        BOUGHT, "ann", None,
        Recommended("jam", 2.5, ["tea", "milk"], "related"), Recommended("tea", 1.5, [], "buy-again"),
        Recommended("bread", 0.5, [], "bestseller"),
    )  # fmt: skip
    yield offered(BOUGHT, "ann", "kids", Recommended("milk", 1.0, ["jam"], "related"))
    yield offered(WATCHED, "ann", None, Recommended("bread", 1.0, [], "bestseller"))
    for partition in range(PARTITIONS):
        for day, cases in (("2025-06-14", 40), ("2025-06-15", 60)):
            yield tallied(partition, day, "ours", cases, cases // 4)
            yield tallied(partition, day, "bestsellers", cases, cases // 10)
            yield tallied(partition, day, "all", cases, cases // 2)
            yield tallied(partition, day, "shown", cases, cases // 2, "ours")
            yield tallied(partition, day, "shown", cases, cases // 10, "control")
        yield learnt(partition, 100.0 * (1 + 2 * partition), 1.0 + partition)


class FakeRecommender:
    """Answers POST /recommendations as a recommender would, in a thread; `asked` has the questions, and
    `tokens` the headers with the tokens. It answers for a worker, too, what ann has and what goes with tea by
    raw counts.

    `strangers` are customers who are unknown in its partitions.
    """

    def __init__(self, *strangers: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.strangers = strangers
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.address: str = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    async def _start(self) -> str:
        app = web.Application()
        app.on_response_prepare.append(self._note)
        app.add_routes([
            web.post("/recommendations", self._answer), web.get("/customers/{id:[^/]+}", self._history),
            web.get("/items/{id:[^/]+}", self._counts),
        ])  # fmt: skip
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _note(self, request: web.Request, _response: web.StreamResponse) -> None:
        self.tokens.append(request.headers.get("Authorization"))

    async def _history(self, request: web.Request) -> web.Response:
        self.asked.append({"path": request.path_qs})
        if request.match_info["id"] != "ann":
            raise web.HTTPNotFound(text="nobody")
        history = [
            {"item_id": item_id, "quantity": n, "first_ms": NOW_MS - 9, "last_ms": NOW_MS + n, "days": n}
            for n, item_id in enumerate(("milk", "tea", "unlisted"), 1)
        ]
        return web.json_response({"customer_id": "ann", "history": history})

    async def _counts(self, request: web.Request) -> web.Response:
        self.asked.append({"path": request.path_qs})
        if request.match_info["id"] != "tea":
            raise web.HTTPNotFound(text="nothing")
        most = [
            {"item_id": "bread", "together": 33, "after": 1},
            {"item_id": "milk", "together": 20, "after": 2},
        ]
        return web.json_response({"item_id": "tea", "most_together": most})

    async def _answer(self, request: web.Request) -> web.Response:
        question = await request.json()
        self.asked.append(question)
        (customer,) = question["customers"]
        if customer == "starting":
            raise web.HTTPServiceUnavailable(text="the lists are still being read")
        if customer == "refused":
            raise web.HTTPBadRequest(text="k is too large")
        if customer == "odd":
            return web.Response(text="[]")
        source = "buy-again" if question["shelf"] == "again" else "related"
        reported = Recommendations(
            customer_id=customer, profile_id=question["profile"], kind=question["kind"] or "bought",
            as_of=NOW_MS, items=[Recommended("tea", 1.25, ["milk"], source)],
        )  # fmt: skip
        known = customer != "nobody" and customer not in self.strangers
        nothing = customer == "nobody" or (question.get("here", False) and not known)
        answer = {"recommendations": [None if nothing else reported], "known": [known]}
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
