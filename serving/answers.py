"""Answers from a read model, as what becomes JSON: with titles, and status 404 for what does not exist."""

from __future__ import annotations

import time
from typing import Any

from serving.errors import ApiError
from serving.kind_model import KindModel
from serving.owners import Bought, Neighbour
from serving.read_model import ReadModel
from serving.title_index import Found
from streams.kinds import EventKind
from streams.recommending.messages import Recommendations

SILENT_MS = 15_000  # a task reports every second, a new owner's takes 10 s
NOT_PUBLISHED = "correct the id; for one without events /api/recommend/CUSTOMER computes bestsellers"


def describe(model: ReadModel, item_id: str) -> dict[str, Any]:
    """Return an item's entry in the catalogue; its fields are null if there is none."""
    item = model.items.get(item_id)
    if item is None:
        nothing = dict.fromkeys(("title", "category", "brand", "price", "available"))
        return {"item_id": item_id, **nothing}
    return {
        "item_id": item_id, "title": item.title, "category": item.category, "brand": item.brand,
        "price": item.price, "available": item.available,
    }  # fmt: skip


def offered(model: ReadModel, item_id: str) -> bool:
    """Return whether an item may be offered: not if the catalogue says that it cannot be bought."""
    item = model.items.get(item_id)
    return item.available if item is not None else item_id not in model.withdrawn


def related(model: ReadModel, of: KindModel, item_id: str, k: int) -> dict[str, Any]:
    """Return an item's list, best first."""
    found = of.related(item_id)
    if found is None and item_id not in model.items:
        raise ApiError(
            404, f"there is no item {item_id!r}", where=f"items and {of.kind.lists.name}",
            what_to_do="correct the id, or find it with /api/search?q=",
        )  # fmt: skip
    entries = [e for e in found.related if offered(model, e.item_id)][:k] if found else []
    return {
        **describe(model, item_id),
        "kind": of.kind.name,
        "buyers": found.buyers if found else 0,
        "as_of": found.as_of if found else None,
        "related": [
            {
                **describe(model, e.item_id), "score": e.score, "together": e.together, "after": e.after,
                "recent": e.recent, "expected": e.expected,
            }
            for e in entries
        ],
    }  # fmt: skip


def sellers(
    model: ReadModel, of: KindModel, category: str | None, k: int, *, trending: bool
) -> dict[str, Any]:
    """Return bestsellers or trending items, of everything or of a category."""
    found = of.sellers(category, trending=trending)
    if found is None and category is not None and category not in categories(model, of):
        raise ApiError(
            404, f"there is no category {category!r}", where="parameter category",
            what_to_do="take one of /api/categories",
        )  # fmt: skip
    return {
        "kind": of.kind.name, "category": category, "trending": trending,
        "as_of": found.as_of if found else None,
        "items": [
            {**describe(model, s.item_id), "purchases": s.purchases, "rise": s.rise}
            for s in [s for s in (found.items if found else ()) if offered(model, s.item_id)][:k]
        ],
    }  # fmt: skip


def categories(model: ReadModel, of: KindModel) -> list[str]:
    """Return all categories of the catalogue and of the bestsellers, in order."""
    named = {item.category for item in model.items.values() if item.category}
    return sorted(named | of.categories())


def published(
    model: ReadModel, of: KindModel, customer_id: str, profile_id: str | None, k: int
) -> dict[str, Any]:
    """Return what is published for a customer, or for a profile of the account."""
    assert isinstance(of.kind, EventKind)
    found = of.recommendations(customer_id, profile_id)
    profiles = of.profiles(customer_id)
    if found is None:
        whose = f"customer {customer_id!r}" + ("" if profile_id is None else f", profile {profile_id!r}")
        raise ApiError(
            404, f"nothing is published for {whose}", where=of.kind.recommendations.name,
            what_to_do=f"take one of the profiles {', '.join(profiles)}" if profiles else NOT_PUBLISHED,
        )  # fmt: skip
    return {**recommendations(model, found, k), "profiles": profiles}


def recommendations(model: ReadModel, answer: Recommendations, k: int) -> dict[str, Any]:
    """Return a message of recommendations, with titles."""
    return {
        "customer_id": answer.customer_id, "profile_id": answer.profile_id, "kind": answer.kind,
        "as_of": answer.as_of, "variant": answer.variant,
        "items": [
            {
                **describe(model, r.item_id), "score": r.score, "source": r.source,
                "because": [_named(model, item_id) for item_id in r.because],
            }
            for r in [r for r in answer.items if offered(model, r.item_id)][:k]
        ],
    }  # fmt: skip


def counts(model: ReadModel, of: KindModel, item_id: str, most: list[Neighbour]) -> dict[str, Any]:
    """Return what an item is most often together with, by raw counts, with titles."""
    return {
        **describe(model, item_id), "kind": of.kind.name, "buyers": of.buyers.get(item_id, 0),
        "items": [{**describe(model, one.item_id), "together": one.together} for one in most],
    }  # fmt: skip


def history(
    model: ReadModel, of: KindModel, customer_id: str, bought: list[Bought], k: int
) -> dict[str, Any]:
    """Return a customer's history with titles, the newest first."""
    newest = sorted(bought, key=lambda one: -one.last_ms)
    return {
        "customer_id": customer_id, "kind": of.kind.name, "distinct": len(bought),
        "items": [
            {
                **describe(model, one.item_id), "quantity": one.quantity, "days": one.days,
                "first_ms": one.first_ms, "last_ms": one.last_ms,
            }
            for one in newest[:k]
        ],
    }  # fmt: skip


def _named(model: ReadModel, item_id: str) -> dict[str, Any]:
    item = model.items.get(item_id)
    return {"item_id": item_id, "title": item.title if item else None}


def found(model: ReadModel, of: KindModel, q: str, matches: list[Found], k: int) -> dict[str, Any]:
    """Return the first k of the items that were found, with titles, and whether there are more."""
    return {
        "q": q, "kind": of.kind.name, "more": len(matches) > k,
        "items": [{**describe(model, one.item_id), "buyers": one.buyers} for one in matches[:k]],
    }  # fmt: skip


def _behind(end: int | None, position: int) -> int | None:
    """Return how many records a position is behind the end; None if either is not known."""
    return None if end is None or position < 0 else max(0, end - position)


def status(model: ReadModel) -> dict[str, Any]:
    """Return how far everything is: what is published per kind, and position and lag per task."""
    now_ms = time.time() * 1000
    tasks = []
    for name, progress in sorted(model.tasks.items()):
        end = model.end_of(name)
        heard_s = max(0.0, now_ms - model.heard_ms[name]) / 1000
        tasks.append({
            "task": name, "worker": progress.worker,
            "applied": progress.applied, "stored": progress.stored, "end": end,
            "lag": None if end is None else max(0, end - progress.applied),
            "unserved": _behind(end, progress.recommended), "unlisted": _behind(end, progress.listed),
            "events": progress.events, "lists": progress.lists, "dead_letters": progress.dead_letters,
            "staleness_ms": _known(progress.staleness_ms),
            "latency_p50_ms": _known(progress.latency_p50_ms),
            "latency_p99_ms": _known(progress.latency_p99_ms), "heard_seconds_ago": round(heard_s, 1),
            "silent": heard_s * 1000 > SILENT_MS,
        })  # fmt: skip
    return {
        "ready": model.ready, "loaded": model.loaded[0], "of": model.loaded[1], "refused": model.refused,
        "items": len(model.items),
        "kinds": [
            {
                "kind": name, "events": of.kind.events.name,
                "word": _word(of), **of.published,
            }
            for name, of in model.kinds.items()
        ],
        "tasks": tasks, "missing": model.missing(),
    }  # fmt: skip


def _word(of: KindModel) -> str | None:
    """Return the word for a plain event of the kind; None if nobody publishes events of it."""
    return of.kind.word if isinstance(of.kind, EventKind) else None


def _known(value: float) -> float | None:
    return None if value < 0 else value
