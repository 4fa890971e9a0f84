"""What the transforms of examples/kafka-connect make of a row is a purchase, in the topic of purchases."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jsonschema import Draft202012Validator

from streams.topics import PURCHASES

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "kafka-connect"


def settings(name: str) -> dict[str, str]:
    lines = (EXAMPLE / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_a_row_becomes_a_purchase() -> None:
    columns = set(re.findall(r"^    (\w+) .*,?$", (EXAMPLE / "orders.sql").read_text(), re.MULTILINE))
    connector = settings("order-lines.properties")
    kept = connector["transforms.fields.include"].split(",")
    assert set(kept) <= columns
    renamed = dict(pair.split(":") for pair in connector["transforms.fields.renames"].split(","))
    fields = [renamed.get(column, column) for column in kept]
    values: dict[str, object] = {
        "event_id": "7", "customer_id": "ann", "item_id": "tea", "quantity": 1,
        "timestamp": "2026-01-31T12:00:00.000000Z",
    }  # fmt: skip
    schemas = json.loads((ROOT / "docs/reference/schemas.json").read_text())
    assert connector["transforms.id.spec"] == "event_id:string"
    purchase = Draft202012Validator({"$ref": "#/$defs/EventMessage", **schemas})
    purchase.validate({name: values[name] for name in fields})
    assert {"customer_id", "item_id", "timestamp", "event_id"} <= set(fields)
    assert connector["transforms.topic.replacement"] == PURCHASES.name
    assert connector["transforms.key.fields"] == connector["transforms.bare.field"] == "customer_id"
    assert list(connector["transforms"].split(",")) == ["row", "fields", "id", "key", "bare", "topic"]


def test_values_are_plain_json_and_keys_are_text() -> None:
    worker = settings("worker.properties")
    assert worker["key.converter"].endswith(".StringConverter")
    assert worker["value.converter"].endswith(".JsonConverter")
    assert worker["value.converter.schemas.enable"] == "false"
