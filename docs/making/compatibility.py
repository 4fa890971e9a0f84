"""Whether a contract still keeps what a released one promised.

What the system receives may only become more: a message that was right stays right, and is read in full.
What it sends may only become more exact: a reader of the released contract understands it. So new fields that
may be left out are compatible in both directions. Unknown fields are ignored by everybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Contract = Mapping[str, Any]
"""The content of docs/reference/schemas.json."""


def breaks(old: Contract, new: Contract) -> list[str]:
    """Return what a program written for the old contract would stumble over in the new one.

    >>> def contract(action, **fields):
    ...     shop = {"type": "object", "properties": fields, "required": list(fields)}
    ...     return {"x-topics": {"sold": {"action": action, "$ref": "#/$defs/Sold"}}, "$defs": {"Sold": shop}}
    >>> text, number = {"type": "string"}, {"type": "integer"}
    >>> breaks(contract("send", id=text), contract("send", id=text, count=number))
    []
    >>> breaks(contract("receive", id=text), contract("receive", id=text, count=number))
    ['sold.count: is required now']
    """
    found = []
    for topic, was in old["x-topics"].items():
        now = new["x-topics"].get(topic)
        if now is None:
            found.append(f"{topic}: the topic is gone")
        elif now["action"] != was["action"]:
            found.append(f"{topic}: was for {was['action']}, is for {now['action']}")
        elif was["action"] == "receive":
            found += _narrower(_Side(was, old), _Side(now, new), topic, "is no longer read")
        else:
            found += _narrower(_Side(now, new), _Side(was, old), topic, "is no longer sent", turned=True)
    return found


INNER = {"items": "[]", "additionalProperties": "{}"}
"""Schemas within a schema, of a list's elements and an object's values, and how their place is shown."""

COMPARED = {
    "title", "description", "default", "type", "properties", "required", "anyOf",
    "minimum", "maximum", "enum", *INNER,
}  # fmt: skip
"""Words of schemas that are compared by their meaning, or have none for a program; others must be equal."""


class _Side:
    """A schema of a contract, with references resolved."""

    def __init__(self, schema: Schema, contract: Contract) -> None:
        while "$ref" in schema:
            schema = contract["$defs"][schema["$ref"].rpartition("/")[2]]
        self.schema, self.contract = schema, contract

    def options(self) -> dict[str, _Side]:
        """Return the schemas by type, of which a value needs to match one."""
        some = [_Side(one, self.contract) for one in self.schema.get("anyOf", [self.schema])]
        return {str(one.schema.get("type", "anything")): one for one in some}

    def fields(self) -> dict[str, _Side]:
        return {name: _Side(one, self.contract) for name, one in self.schema.get("properties", {}).items()}

    @property
    def required(self) -> set[str]:
        return set(self.schema.get("required", ()))


def _narrower(given: _Side, wanted: _Side, where: str, gone: str, *, turned: bool = False) -> Iterator[str]:
    """Yield where a value that is right by `given` may be wrong by `wanted`, or is not read in full.

    `turned` says that the messages are those of the new contract, which readers of the old one read.
    """
    options = wanted.options()
    for name, one in given.options().items():
        other = (
            options.get(name)
            or options.get("anything")
            or (options.get("number") if name == "integer" else None)
        )
        if other is None:
            yield f"{where}: {'may be' if turned else 'may no longer be'} {name}"
            continue
        yield from _bounds(one.schema, other.schema, where, turned=turned)
        for inner, place in INNER.items():
            if isinstance(one.schema.get(inner), dict) and isinstance(other.schema.get(inner), dict):
                sides = _Side(one.schema[inner], one.contract), _Side(other.schema[inner], other.contract)
                yield from _narrower(*sides, f"{where}{place}", gone, turned=turned)
        for word in sorted((one.schema.keys() | other.schema.keys()) - COMPARED):
            if one.schema.get(word) != other.schema.get(word):
                yield f"{where}: another {word}"
        ours, theirs = one.fields(), other.fields()
        for field in sorted(other.required - one.required):
            yield f"{where}.{field}: {'may be left out now' if turned else 'is required now'}"
        for field in sorted(
            (theirs.keys() - ours.keys()) - other.required if turned else ours.keys() - theirs.keys()
        ):
            yield f"{where}.{field}: {gone}"
        for field in sorted(ours.keys() & theirs.keys()):
            yield from _narrower(ours[field], theirs[field], f"{where}.{field}", gone, turned=turned)


def _bounds(given: Schema, wanted: Schema, where: str, *, turned: bool) -> Iterator[str]:
    word = "may now be" if turned else "may no longer be"
    least, most = wanted.get("minimum"), wanted.get("maximum")
    if least is not None and given.get("minimum", float("-inf")) < least:
        yield f"{where}: {word} below {least}"
    if most is not None and given.get("maximum", float("inf")) > most:
        yield f"{where}: {word} above {most}"
    if "enum" in wanted:
        for value in given.get("enum", ["anything"]):
            if value not in wanted["enum"]:
                yield f"{where}: {word} {value}"
