"""The contract with programs: an AsyncAPI 3 document of all topics, and a JSON Schema of all messages.

AsyncAPI describes the topics from where the system stands: it receives what shops publish and sends the rest.
The schemas are those of the types that decode and encode the messages (JSON Schema 2020-12, of which the
document uses what its own dialect shares). Deltas are binary, so they have no schema.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from docs.making.examples import EXAMPLES, TYPES
from streams.kinds import BOUGHT, LISTED, EventKind, topics_of_kinds
from streams.topics import SHARED, TopicSpec

ROOT = Path(__file__).resolve().parent.parent.parent
RECEIVED = ("purchases", "watches", "items", "models")
"""The topics that others write."""

CONFIGURED = ("cleanup.policy", "retention.ms", "delete.retention.ms", "max.message.bytes")
"""The settings of topics that AsyncAPI's binding for Kafka has."""

BINDING = "0.5.0"


def types() -> dict[str, type[Struct]]:
    """Return the type of the messages of each topic of JSON; all kinds have those of purchases."""
    found = {topic.name: TYPES[topic.name] for topic in SHARED if topic.name in TYPES}
    for kind in LISTED:
        roles = ("events", "lists", "popularity", "bestsellers", "recommendations")
        for role in roles if isinstance(kind, EventKind) else ("lists",):
            found[getattr(kind, role).name] = TYPES[getattr(BOUGHT, role).name]
    return found


def schemas() -> str:
    """Return the JSON Schemas of all messages, each under $defs by the name of its type.

    x-topics says which type each topic has, and whether the system receives or sends it.
    """
    _, components = msgspec.json.schema_components(list(TYPES.values()))
    return _text({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Made by docs/generate.py from the code. Do not edit.",
        "title": "Messages of alsobought",
        "x-topics": {
            topic.name: {"action": _action(topic), "$ref": f"#/$defs/{types()[topic.name].__name__}"}
            for topic in _spoken()
        },
        "$defs": components,
    })  # fmt: skip


def asyncapi() -> str:
    """Return the AsyncAPI document."""
    template = "#/components/schemas/{name}"
    _, components = msgspec.json.schema_components(list(TYPES.values()), ref_template=template)
    spoken = _spoken()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return _text({
        "asyncapi": "3.0.0",
        "info": {
            "title": project["name"],
            "version": project["version"],
            "description": f"{project['description']} Made by docs/generate.py from the code.",
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in spoken},
        "operations": {
            f"{_action(topic)}-{topic.name}": {
                "action": _action(topic),
                "channel": {"$ref": f"#/channels/{topic.name}"},
            }
            for topic in spoken
        },
        "components": {
            "messages": {topic.name: _message(topic) for topic in spoken},
            "schemas": components,
        },
    })  # fmt: skip


def _spoken() -> list[TopicSpec]:
    """Return the topics of JSON, in the order of all topics."""
    return [topic for topic in topics_of_kinds(LISTED) if topic.name in types()]


def _action(topic: TopicSpec) -> str:
    return "receive" if topic.name in RECEIVED else "send"


def _channel(topic: TopicSpec) -> dict[str, Any]:
    configured = {name: value for name, value in topic.config.items() if name in CONFIGURED}
    settings: dict[str, Any] = {
        name: [value] if name == "cleanup.policy" else int(value) for name, value in configured.items()
    }
    return {
        "address": topic.name,
        "description": topic.purpose,
        "messages": {"message": {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {"topic": topic.name, "topicConfiguration": settings, "bindingVersion": BINDING}
        },
    }


def _message(topic: TopicSpec) -> dict[str, Any]:
    of = types()[topic.name]
    examples = [msgspec.to_builtins(example) for example in EXAMPLES.get(topic.name, ())]
    return {
        "name": of.__name__,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{of.__name__}"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": BINDING}
        },
        **({"examples": [{"payload": payload} for payload in examples]} if examples else {}),
    }


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
