"""The contract is made of valid schemas, its examples obey it, and decoders agree with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from docs.making.compatibility import breaks
from docs.making.examples import EXAMPLES, TYPES
from streams.kinds import LISTED, topics_of_kinds
from streams.messages.schema import encode
from tests.contracts.contract import REFERENCE, contract, faults

BINARY = {"pair-deltas", "pair-deltas-watched", "pair-deltas-watched-bought", "first-events"}
RELEASED = sorted((REFERENCE / "released").glob("*.json"))


def test_the_schemas_are_schemas() -> None:
    for schema in contract()["$defs"].values():
        Draft202012Validator.check_schema(schema)


def test_every_topic_of_json_is_in_both() -> None:
    names = {topic.name for topic in topics_of_kinds(LISTED)} - BINARY
    document = json.loads((REFERENCE / "asyncapi.json").read_text(encoding="utf-8"))
    assert contract()["x-topics"].keys() == document["channels"].keys() == names
    assert document["components"]["schemas"].keys() == contract()["$defs"].keys()
    actions = {o["channel"]["$ref"].rpartition("/")[2]: o["action"] for o in document["operations"].values()}
    assert {topic for topic, action in actions.items() if action == "receive"} == {
        "purchases", "watches", "items", "models",
    }  # fmt: skip


def references(of: Any) -> list[str]:
    """Return all references of a document."""
    if isinstance(of, dict):
        own = [of["$ref"]] if isinstance(of.get("$ref"), str) else []
        return own + [found for one in of.values() for found in references(one)]
    return [found for one in of for found in references(one)] if isinstance(of, list) else []


@pytest.mark.parametrize("name", ["asyncapi.json", "schemas.json"])
def test_every_reference_leads_somewhere(name: str) -> None:
    document = json.loads((REFERENCE / name).read_text(encoding="utf-8"))
    found = references(document)
    assert len(found) > 10
    for reference in found:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


@pytest.mark.parametrize("topic", EXAMPLES)
def test_examples_obey_it(topic: str) -> None:
    for example in EXAMPLES[topic]:
        assert faults(topic, encode(example)) == []


@pytest.mark.parametrize("topic", TYPES)
def test_what_a_decoder_refuses_is_a_fault_and_the_other_way_round(topic: str) -> None:
    decoder = msgspec.json.Decoder(TYPES[topic])
    right = json.loads(encode(EXAMPLES[topic][0]))
    text = "eA==" if topic == "dead-letters" else "x"  # a schema only notes that bytes are in base64
    others: list[Any] = [None, 7, -1, 1.5, text, [], {}, True, 1 << 60]
    changed = [{**right, name: other} for name in right for other in others]
    changed += [{n: v for n, v in right.items() if n != name} for name in right]
    refused = 0
    for message in changed:
        value = json.dumps(message).encode()
        try:
            decoder.decode(value)
        except msgspec.ValidationError:
            refused += 1
            assert faults(topic, value), value
        else:
            assert not faults(topic, value), value
    assert 0 < refused < len(changed)


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: str(path.stem))
def test_programs_for_a_released_contract_still_work(released: Path) -> None:
    assert breaks(json.loads(released.read_text(encoding="utf-8")), contract()) == []
