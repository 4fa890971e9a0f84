"""One secured Kafka for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.conftest import STEP_BACK

if TYPE_CHECKING:
    from tests.streams.connections.secured import SecuredKafka


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ALSOBOUGHT_") and name != STEP_BACK:
            monkeypatch.delenv(name)


@pytest.fixture(scope="package")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A Kafka with TLS, users and access control lists."""
    from tests.streams.connections.secured import SecuredKafka

    kafka = SecuredKafka(tmp_path_factory.mktemp("secured"))
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.kafka.stop()
