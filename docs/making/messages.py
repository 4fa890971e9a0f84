"""The page of topics and messages."""

from __future__ import annotations

import msgspec
from msgspec import Struct, inspect

from docs.making.examples import EXAMPLES, TYPES, WATCHED_BOUGHT_EXAMPLE
from docs.making.tables import MADE, table_of
from state.messages import delta_types, deltas, history_changes, pair_changes, transfer
from streams.kinds import BOUGHT, BUILT_IN, LISTED, WATCHED_BOUGHT, EventKind, topics_of_kinds
from streams.messages import schema as ms
from streams.topics import DAY_MS, PAIR_DELTAS, SHARED, TopicSpec


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


def _fields(struct: type[Struct]) -> str:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    rows = [
        [f"`{field.encode_name}`", _type_name(field.type), _default(field), _description(field.type)]
        for field in info.fields
    ]
    return table_of(["field", "type", "default", "what it is"], rows)


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
        table_of(
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
