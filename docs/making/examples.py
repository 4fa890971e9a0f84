"""An example of every message, and the type of each topic's."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from streams.messages import schema as ms
from streams.recommending import messages as rec

EXAMPLES: dict[str, tuple[Struct, ...]] = {
    "purchases": (
        ms.EventMessage(
            customer_id="ann", item_id="tea-500g", timestamp="2025-06-15T12:00:00Z", quantity=2,
            event_id="order-981-1",
        ),
        ms.EventMessage(
            customer_id="ann", item_id="tea-500g", timestamp=1_750_075_200_000, type="return",
            event_id="return-77",
        ),
        ms.EventMessage(customer_id="ann", timestamp=1_750_161_600_000, type="forget"),
    ),
    "watches": (
        ms.EventMessage(
            customer_id="ann", item_id="solaris-1972", timestamp="2025-06-15T20:15:00Z", profile_id="2",
            event_id="play-551",
        ),
    ),
    "items": (ms.CatalogueItem(item_id="tea-500g", title="Assam, 500 g", category="tea", price=7.9),),
    "related-items": (
        ms.RelatedItems(
            "tea-500g", "bought", 1_750_075_200_000, 8123, 412, 3201, 977.4,
            [ms.RelatedItem("milk-1l", 31.42, 96, 51, 40.12, 12.7)],
        ),
    ),
    "popularity": (
        ms.PopularityMessage(
            item_id="tea-500g", kind="bought", as_of=1_750_075_200_000, version=8123, buyers=412,
            newest_day=date(2025, 6, 16), purchases=[3, 0, 5, 1], first_days=8_263_000,
            recent_buyers=38.21, repeaters=96, repeat_days=181, repeat_minutes=7_430_400,
            customers=2_481, available=True,
        ),
    ),
    "bestsellers": (
        rec.Sellers(
            kind="bought", as_of=1_750_075_200_000, items=[rec.Seller("milk-1l", 512)],
        ),
        rec.Sellers(
            kind="bought", category="tea", trending=True, as_of=1_750_075_200_000,
            items=[rec.Seller("tea-500g", 41, 3.27)],
        ),
    ),
    "recommendations": (
        rec.Recommendations(
            customer_id="ann", kind="bought", as_of=1_750_075_200_000,
            items=[rec.Recommended("milk-1l", 4.12, ["tea-500g"], "related")],
        ),
    ),
    "ranker": (
        rec.RankerState(
            kind="bought", partition=3,
            rankers={"new": {"cases": 812.0, "features": {"day14": [0.47, 311.2, 1.94]}}},
        ),
    ),
    "quality": (
        rec.Quality(
            kind="bought", partition=3, day="2025-06-15", algorithm="ours", cases=120, hits=17,
        ),
    ),
    "models": (
        rec.ModelAnnounced(
            kind="bought", version=12, url="s3://shop/models/bought/00000012-9f2c41d7.npz",
            sha256="9f2c41d7" + "0" * 56, bytes=27_412_918, trained_until=1_750_075_200_000, items=34_114,
        ),
    ),
    "dead-letters": (
        ms.DeadLetter(
            "purchases", 3, 51_877, "item_id is missing or empty", 1_750_075_200_123, b"ann",
            b'{"customer_id":"ann"}',
        ),
    ),
    "progress": (
        ms.Progress(
            task="pair-deltas-0", worker="http://127.0.0.1:6066", applied=812, stored=790, listed=812,
            events=98_112,
        ),
        ms.Progress(
            task="recommender/purchases-3", worker="http://127.0.0.1:6067", applied=51_880, stored=51_200,
            recommended=51_880, settled=1_750_075_201_044, model=2, events=51_880,
        ),
    ),
}  # fmt: skip

WATCHED_BOUGHT_EXAMPLE = ms.RelatedItems(
    "solaris-1972", "watched-bought", 1_750_075_200_000, 912, 214, 377, 161.2,
    [ms.RelatedItem("solaris-novel", 21.7, 31, 31, 22.4, 1.9)],
)  # fmt: skip

TYPES: dict[str, type[Struct]] = {
    "purchases": ms.EventMessage,
    "items": ms.CatalogueItem,
    "related-items": ms.RelatedItems,
    "popularity": ms.PopularityMessage,
    "bestsellers": rec.Sellers,
    "recommendations": rec.Recommendations,
    "ranker": rec.RankerState,
    "quality": rec.Quality,
    "models": rec.ModelAnnounced,
    "dead-letters": ms.DeadLetter,
    "progress": ms.Progress,
}
