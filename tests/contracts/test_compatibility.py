"""Each change to a contract that a program would stumble over is found, and no other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from docs.making.compatibility import breaks
from tests.contracts.contract import contract

Fields = dict[str, Any]
Change = Callable[[Fields], None]

BASE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "word": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "size": {"enum": ["s", "m"]},
        "day": {"type": "string", "format": "date"},
        "weights": {"type": "object", "additionalProperties": {"type": "number"}},
    },
    "required": ["id", "count"],
}
LINE = {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}


def of(action: str, message: dict[str, Any], line: dict[str, Any] | None = None) -> dict[str, Any]:
    topics = {"sold": {"action": action, "$ref": "#/$defs/Sold"}}
    return {"x-topics": topics, "$defs": {"Sold": message, "Line": line or LINE}}


def changed(change: Change) -> dict[str, Any]:
    message = copy.deepcopy(BASE)
    change(message)
    return message


def field(name: str, schema: Any) -> Change:
    return lambda message: message["properties"].update({name: schema})


CHANGES: dict[str, tuple[Change, list[str], list[str]]] = {
    # change: what it breaks for who publishes to us, and for who reads from us
    "nothing": (lambda _: None, [], []),
    "a new field": (field("more", {"type": "string"}), [], []),
    "a new field that is required": (
        lambda m: (field("more", {"type": "string"})(m), m["required"].append("more"))[0],
        ["sold.more: is required now"], [],
    ),
    "a field that is gone": (
        lambda m: m["properties"].pop("word"),
        ["sold.word: is no longer read"], ["sold.word: is no longer sent"],
    ),
    "a required field that is gone": (
        lambda m: (m["properties"].pop("id"), m["required"].remove("id"))[1],
        ["sold.id: is no longer read"], ["sold.id: may be left out now"],
    ),
    "a field that is required now": (
        lambda m: m["required"].append("word"), ["sold.word: is required now"], [],
    ),
    "a field that may be left out": (
        lambda m: m["required"].remove("count"), [], ["sold.count: may be left out now"],
    ),
    "another type": (
        field("id", {"type": "integer"}), ["sold.id: may no longer be string"], ["sold.id: may be integer"],
    ),
    "one type more": (
        field("id", {"anyOf": [{"type": "string"}, {"type": "integer"}]}), [], ["sold.id: may be integer"],
    ),
    "one type less": (field("word", {"type": "string"}), ["sold.word: may no longer be null"], []),
    "wider bounds": (
        field("count", {"type": "integer", "minimum": 0}), [],
        ["sold.count: may now be below 1", "sold.count: may now be above 9"],
    ),
    "narrower bounds": (
        field("count", {"type": "integer", "minimum": 2, "maximum": 8}),
        ["sold.count: may no longer be below 2", "sold.count: may no longer be above 8"], [],
    ),
    "any number": (
        field("count", {"type": "number", "minimum": 1, "maximum": 9}), [], ["sold.count: may be number"],
    ),
    "another format": (
        field("day", {"type": "string", "format": "date-time"}),
        ["sold.day: another format"], ["sold.day: another format"],
    ),
    "other values of an object": (
        field("weights", {"type": "object", "additionalProperties": {"type": "string"}}),
        ["sold.weights{}: may no longer be number"], ["sold.weights{}: may be string"],
    ),
    "a length that is bounded now": (
        field("id", {"type": "string", "maxLength": 9}),
        ["sold.id: another maxLength"], ["sold.id: another maxLength"],
    ),
    "one value more": (field("size", {"enum": ["s", "m", "l"]}), [], ["sold.size: may now be l"]),
    "one value less": (field("size", {"enum": ["s"]}), ["sold.size: may no longer be m"], []),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("action", ["receive", "send"])
def test_a_change(name: str, action: str) -> None:
    change, received, sent = CHANGES[name]
    assert breaks(of(action, BASE), of(action, changed(change))) == (
        received if action == "receive" else sent
    )


def test_in_a_list_of_objects() -> None:
    line = {**LINE, "required": []}
    assert breaks(of("send", BASE), of("send", BASE, line)) == ["sold.lines[].item: may be left out now"]
    assert breaks(of("receive", BASE), of("receive", BASE, line)) == []


def test_topics() -> None:
    gone = {**of("send", BASE), "x-topics": {}}
    assert breaks(of("send", BASE), gone) == ["sold: the topic is gone"]
    assert breaks(gone, of("send", BASE)) == []
    assert breaks(of("send", BASE), of("receive", BASE)) == ["sold: was for send, is for receive"]


def test_the_contract_with_itself() -> None:
    assert breaks(contract(), contract()) == []
