"""Writes docs/reference/ from the code: `python docs/generate.py`, and with --check only compares."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct, inspect
from pydantic import SecretStr

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from state.messages import delta_types, deltas, history_changes, pair_changes, transfer  # noqa: E402
from streams.doors import rights  # noqa: E402
from streams.kinds import BOUGHT, BUILT_IN, LISTED, WATCHED_BOUGHT, EventKind, topics_of_kinds  # noqa: E402
from streams.messages import schema as ms  # noqa: E402
from streams.recommending import messages as rec  # noqa: E402
from streams.settings import Settings  # noqa: E402
from streams.topics import DAY_MS, PAIR_DELTAS, SHARED, TopicSpec  # noqa: E402

MADE = "<!-- Made by docs/generate.py from the code. Do not edit. -->"

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


def _type_name(of: inspect.Type) -> str:
    """Return a type as a reader of JSON knows it."""
    if isinstance(of, inspect.Metadata):
        return _type_name(of.type)
    if isinstance(of, inspect.UnionType):
        return " or ".join(_type_name(one) for one in of.types)
    if isinstance(of, inspect.LiteralType):
        return ", ".join(f"`{value!r}`".replace("'", '"') for value in of.values)
    if isinstance(of, inspect.DictType):
        return "object"
    if isinstance(of, inspect.ListType):
        return f"list of {_type_name(of.item_type)}"
    if isinstance(of, inspect.StructType):
        return of.cls.__name__
    if isinstance(of, inspect.IntType) and of.ge is not None:
        return f"integer, {of.ge:,} to {of.le:,}" if of.le is not None else f"integer, {of.ge:,} or more"
    names: dict[type[inspect.Type], str] = {
        inspect.StrType: "string", inspect.IntType: "integer", inspect.FloatType: "number",
        inspect.BoolType: "boolean", inspect.DateType: "date", inspect.BytesType: "string",
        inspect.NoneType: "null",
    }  # fmt: skip
    return names[type(of)]


def _description(of: inspect.Type) -> str:
    extra = of.extra_json_schema if isinstance(of, inspect.Metadata) else None
    return str((extra or {}).get("description", ""))


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    return f"`{msgspec.json.encode(field.default).decode()}`"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _fields(struct: type[Struct]) -> str:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    rows = [
        [f"`{field.encode_name}`", _type_name(field.type), _default(field), _description(field.type)]
        for field in info.fields
    ]
    return _table(["field", "type", "default", "what it is"], rows)


def _kept(topic: TopicSpec) -> str:
    if topic.cleanup == "compact":
        return "compacted: the newest of each key"
    return "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} days"


def _indented(docstring: str | None) -> str:
    assert docstring
    drawing = docstring.split("\n\n", 1)[1] if "\n\n" in docstring else docstring
    return docstring.split("\n\n", 1)[0] + "\n\n" + drawing.strip("\n")


def topics_page() -> str:
    """Return the page of topics and messages."""
    parts = [
        MADE,
        "# Topics and messages",
        "All messages are JSON in UTF-8, but for those of deltas. Unknown fields are ignored; a\n"
        "missing or mistyped known field sends the record to `dead-letters`. All topics carry Kafka's own\n"
        "time of arrival as their timestamp; event time travels in the value.",
        _table(
            ["topic", "key", "kept", "largest message", "what it carries"],
            [
                [f"`{t.name}`", t.key, _kept(t), f"{t.max_message_bytes >> 20} MiB", t.purpose]
                for t in topics_of_kinds(LISTED)
            ],
        ),
        _about_kinds(),
    ]
    for topic in (*topics_of_kinds([BOUGHT])[: -len(SHARED)], *SHARED):
        parts += _topic(topic)
    for kind in BUILT_IN[1:]:
        parts += _like_bought(kind)
    parts += _watched_bought()
    return "\n\n".join(parts) + "\n"


def _about_kinds() -> str:
    return (
        "Purchases are of the kind bought. Watches, of the kind watched, are counted by the same machines,\n"
        "between topics of their own. So is every word of `ALSOBOUGHT_EVENT_TYPES`, such as liked: its\n"
        "events are in `liked`, the rest in `pair-deltas-liked`, `related-items-liked`, `popularity-liked`,\n"
        "`bestsellers-liked` and `recommendations-liked`. Kinds never mix; the catalogue is one for all.\n"
        "One kind of lists is made of two of events: watched-bought, what those who watched an item went on\n"
        "to buy. To erase a customer, publish a forget on each topic of events that has the customer's, as\n"
        "`alsobought forget` does."
    )


def _watched_bought() -> list[str]:
    """Return the topics of what was watched and then bought."""
    kind = WATCHED_BOUGHT
    return [
        *(f"## {kind.events.name}", _indented(history_changes.__doc__), _indented(transfer.__doc__)),
        _created(kind.events),
        *(f"## {kind.deltas.name}", _indented(pair_changes.__doc__)),
        "Beside these messages what the catalogue says, as in [pair-deltas](#pair-deltas).",
        f"## {kind.lists.name}",
        f"As [{BOUGHT.lists.name}](#{BOUGHT.lists.name}), of the kind `{kind.name}`: `buyers` are those who"
        " watched\nthe item; `together` and `after` both are how many of them went on to buy the other within"
        "\n`ALSOBOUGHT_WATCHED_BOUGHT_DAYS`.",
        f"```json\n{ms.encode(WATCHED_BOUGHT_EXAMPLE).decode()}\n```",
    ]


def _topic(topic: TopicSpec) -> list[str]:
    parts = [f"## {topic.name}"]
    if topic is PAIR_DELTAS:
        parts.append(_indented(deltas.__doc__))
        parts.append(f"This is layout {delta_types.VERSION}; readers refuse any other.")
    elif struct := TYPES.get(topic.name):
        parts += [" ".join((struct.__doc__ or "").split()), _fields(struct)]
        if struct is ms.RelatedItems:
            parts += ["`RelatedItem`: " + (ms.RelatedItem.__doc__ or ""), _fields(ms.RelatedItem)]
        parts.append(_examples(topic))
    else:
        parts.append(f"{topic.purpose[0].upper()}{topic.purpose[1:]}.")
    return [*parts, _created(topic)]


def _created(topic: TopicSpec) -> str:
    config = "\n".join(f"{name}={value}" for name, value in topic.config.items())
    return f"Created with:\n\n```properties\n{config}\n```"


def _examples(topic: TopicSpec) -> str:
    examples = "\n".join(ms.encode(example).decode() for example in EXAMPLES[topic.name])
    return f"```json\n{examples}\n```"


def _like_bought(kind: EventKind) -> list[str]:
    """Return the topics of a kind, as those of purchases."""
    names = ("events", "deltas", "lists", "popularity", "bestsellers", "recommendations")
    pairs = [(getattr(kind, name), getattr(BOUGHT, name)) for name in names]
    parts = []
    for own, bought in pairs:
        parts += [f"## {own.name}", f"As [{bought.name}](#{bought.name}), of {kind.events.name}."]
        if own is kind.events:
            parts[-1] += f" The word for a plain event, meant without one, too, is `{kind.word}`."
            parts.append(_examples(own))
    return parts


def _annotation(of: Any) -> str:
    """Return in words what values a type has."""
    if get_origin(of) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(of))
    names = {
        int: "integer",
        float: "number",
        str: "text",
        SecretStr: "secret",
        Path: "path",
        type(None): "unset",
    }
    return " or ".join(_annotation(one) for one in get_args(of)) if get_args(of) else names[of]


def settings_page() -> str:
    """Return the page of settings."""
    user_folders = {"data_dir": "the user's data folder", "cache_dir": "the user's cache folder"}
    rows = []
    for name, field in Settings.model_fields.items():
        bounds = {n: getattr(one, n) for one in field.metadata for n in ("ge", "le", "lt") if hasattr(one, n)}
        low = bounds.get("ge")
        high, below = bounds.get("le"), bounds.get("lt")
        allowed = _annotation(field.annotation)
        if low is not None or high is not None or below is not None:
            allowed += f", {low:,}" if low is not None else ","
            top = f" to {high:,}" if high is not None else f" to below {below:,}" if below else " or more"
            allowed += top
        default = user_folders.get(name, "unset" if field.default is None else f"`{field.default}`")
        rows.append([f"`ALSOBOUGHT_{name.upper()}`", allowed, default, field.description or ""])
    about = " ".join((Settings.__doc__ or "").split())
    table = _table(["variable", "values", "default", "what it is"], rows)
    return "\n\n".join([MADE, "# Settings", about, table]) + "\n"


def doors_page() -> str:
    """Return the page of endpoints and rights."""

    def table(doors: tuple[rights.Door, ...]) -> str:
        rows = [
            [f"`{door.method} {door.path}`", door.right.word, str(door.cost), door.answers] for door in doors
        ]
        return _table(["endpoint", "right", "counts for", "what is there"], rows)

    return "\n\n".join([
        MADE, "# Doors: endpoints and rights",
        "Where tokens are set, a request must show one that has this right or a greater one (read, write,\n"
        "admin); `none` is open to everybody. *Counts for* says how many requests an answer is in\n"
        "`ALSOBOUGHT_REQUESTS_PER_S`. What it means is in [Doors](../guide/doors.md).",
        "## The page and the API", table(rights.API),
        "## The query port of workers and recommenders", table(rights.QUERIES),
    ]) + "\n"  # fmt: skip


PAGES = {"topics-and-messages.md": topics_page, "settings.md": settings_page, "doors.md": doors_page}


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them; returns the exit code."""
    folder, stale = ROOT / "docs" / "reference", []
    for name, page in PAGES.items():
        text, path = page(), folder / name
        if arguments == ["--check"]:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(str(path.relative_to(ROOT)))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; run python docs/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
