"""Fixtures for all tests: two real Kafkas for the whole session, started when a test first asks for them.

One has many tests' topics side by side; of the other each test or file has everything, one after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.settings import Settings

if TYPE_CHECKING:
    from streams.broker.embedded import EmbeddedKafka


def pytest_configure(config: pytest.Config) -> None:
    """Let kafka-python be imported: it reads its own data files in a way Python 3.11 deprecated.

    Kafkas of tests live for seconds: optimising their code takes more time than it saves.
    """
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    config.addinivalue_line(
        "filterwarnings", "ignore:(read|open)_text is deprecated. Use files:DeprecationWarning"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files whose tests may take longest, by their timeouts: else one is left at the end."""
    longest: dict[Path, float] = {}
    for item in items:
        if marker := item.get_closest_marker("timeout"):
            longest[item.path] = max(longest.get(item.path, 0), marker.args[0])
    items.sort(key=lambda item: -longest.get(item.path, 0))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A running Kafka, shared: give the topics and groups of a test names of their own."""
    from streams.broker.embedded import EmbeddedKafka

    with EmbeddedKafka(
        tmp_path_factory.mktemp("kafka"), cache_dir=Settings.model_validate({}).cache_dir
    ) as running:
        yield running


@pytest.fixture(scope="session")
def new_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], EmbeddedKafka]]:
    """Gives a Kafka with all our topics and nothing in them, until it is asked for the next one."""
    from streams.broker.embedded import EmbeddedKafka
    from tests.streams.anew import make_anew

    kafka = EmbeddedKafka(
        tmp_path_factory.mktemp("new-kafka"), cache_dir=Settings.model_validate({}).cache_dir
    )

    def new() -> EmbeddedKafka:
        if not kafka.alive:
            kafka.stop()  # a test may have killed it
            kafka.start()
        make_anew(kafka.bootstrap)
        return kafka

    yield new
    kafka.stop()
