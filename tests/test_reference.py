"""docs/reference/ agrees with the code, and its examples can be sent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from streams.kinds import LISTED, topics_of_kinds
from streams.messages.schema import (
    decode_dead_letter,
    decode_event,
    decode_item,
    decode_popularity,
    decode_progress,
    decode_related,
)
from streams.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference"
DECODERS = {
    "purchases": decode_event,
    "watches": decode_event,
    "items": decode_item,
    "related-items": decode_related,
    "popularity": decode_popularity,
    "dead-letters": decode_dead_letter,
    "progress": decode_progress,
}


def test_the_reference_is_not_stale_and_shows_nothing_of_this_environment() -> None:
    found = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ALSOBOUGHT_KAFKA_PASSWORD": "hunter2", "ALSOBOUGHT_KAFKA_USERNAME": "ann"},
    )
    assert found.returncode == 0, found.stderr


def test_every_topic_and_setting_is_in_it() -> None:
    topics = (REFERENCE / "topics-and-messages.md").read_text()
    assert all(f"\n## {topic.name}\n" in topics for topic in topics_of_kinds(LISTED))
    settings = (REFERENCE / "settings.md").read_text()
    assert all(f"`ALSOBOUGHT_{name.upper()}`" in settings for name in Settings.model_fields)


def test_the_examples_decode() -> None:
    for section in (REFERENCE / "topics-and-messages.md").read_text().split("\n## ")[1:]:
        name = section.split("\n", 1)[0]
        if name in DECODERS:
            example = section.split("```json\n")[1].split("\n```")[0]
            for line in example.splitlines():
                DECODERS[name](line.encode())


def test_the_reference_names_no_machine() -> None:
    for page in REFERENCE.glob("*.md"):
        assert str(Path.home()) not in page.read_text()
