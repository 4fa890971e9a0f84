"""This fixture gives a test that runs whole workers a Kafka of its own, with all topics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from streams.broker.embedded import EmbeddedKafka
    from tests.streams.pipeline import Wires


@pytest.fixture
def kafka(new_kafka: Callable[[], EmbeddedKafka]) -> EmbeddedKafka:
    return new_kafka()


@pytest.fixture
def wires(kafka: EmbeddedKafka) -> Iterator[Wires]:
    from tests.streams.pipeline import Wires

    wires = Wires(kafka.bootstrap)
    yield wires
    wires.close()
