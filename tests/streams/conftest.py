"""A Kafka of a test's own with all topics, for tests that run whole workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streams.broker.embedded import EmbeddedKafka
    from tests.streams.pipeline import Wires


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    from streams.broker.embedded import EmbeddedKafka
    from streams.broker.topics_admin import create_topics
    from streams.settings import Settings
    from tests.streams.pipeline import PARTITIONS, TOPICS

    with EmbeddedKafka(tmp_path / "kafka", cache_dir=Settings.model_validate({}).cache_dir) as running:
        create_topics(running.bootstrap, TOPICS, PARTITIONS, 1)
        yield running


@pytest.fixture
def wires(kafka: EmbeddedKafka) -> Iterator[Wires]:
    from tests.streams.pipeline import Wires

    wires = Wires(kafka.bootstrap)
    yield wires
    wires.close()
