"""Fixtures for all tests: one real Kafka for the whole session, started when a test first asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from streams.settings import Settings

if TYPE_CHECKING:
    from streams.broker.embedded import EmbeddedKafka


def pytest_configure(config: pytest.Config) -> None:
    """Let kafka-python be imported: it reads its own data files in a way Python 3.11 deprecated."""
    config.addinivalue_line(
        "filterwarnings", "ignore:(read|open)_text is deprecated. Use files:DeprecationWarning"
    )


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A running Kafka, shared: give the topics and groups of a test names of their own."""
    from streams.broker.embedded import EmbeddedKafka

    with EmbeddedKafka(
        tmp_path_factory.mktemp("kafka"), cache_dir=Settings.model_validate({}).cache_dir
    ) as running:
        yield running
