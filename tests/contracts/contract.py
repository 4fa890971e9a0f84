"""The contract as docs/reference/ has it, and what it says of messages."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


@cache
def contract() -> dict[str, Any]:
    """Return the schemas of all messages."""
    return dict(json.loads((REFERENCE / "schemas.json").read_text(encoding="utf-8")))


@cache
def validator(topic: str) -> Draft202012Validator:
    """Return what checks the messages of a topic."""
    found = contract()
    schema = {"$defs": found["$defs"], "$ref": found["x-topics"][topic]["$ref"]}
    return Draft202012Validator(schema, format_checker=FormatChecker())


def faults(topic: str, value: bytes) -> list[str]:
    """Return what is wrong with a message of a topic, by the contract."""
    return [error.message for error in validator(topic).iter_errors(json.loads(value))]
