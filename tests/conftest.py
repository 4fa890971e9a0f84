"""Fixtures for all tests: two real Kafkas for the session, each started when a test first uses it.

The tests have their topics in one of them side by side. The other belongs to one test or file at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadFileScheduling

from streams.settings import Settings

ROOT = Path(__file__).parent.parent
STEP_BACK = "ALSOBOUGHT_STEP_BACK"

if TYPE_CHECKING:
    from streams.broker.embedded import EmbeddedKafka


def pytest_configure(config: pytest.Config) -> None:
    """Allow the import of kafka-python, which reads its data files in a way that Python 3.11 deprecated.

    The Kafkas of tests live for seconds, so optimising their code would take more time than it saves.
    """
    os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1")
    # beside the other tests, a process that lets all others go first may not come to answer its group
    os.environ.setdefault(STEP_BACK, "false")
    config.addinivalue_line(
        "filterwarnings", "ignore:(read|open)_text is deprecated. Use files:DeprecationWarning"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files with the longest timeouts, so that no long test is left for the end."""
    longest: dict[Path, float] = {}
    for item in items:
        if marker := item.get_closest_marker("timeout"):
            longest[item.path] = max(longest.get(item.path, 0), marker.args[0])
    items.sort(key=lambda item: -longest.get(item.path, 0))


class SharedKafkas(LoadFileScheduling):  # type: ignore[misc]
    """Gives files that share a Kafka to one process.

    A Kafka that only waits takes a sixth of a core, so each process that has one of its own costs the others.
    """

    def _split_scope(self, nodeid: str) -> str:
        return sharing(ROOT / nodeid.partition("::")[0])


@cache
def sharing(file: Path) -> str:
    """Return what a file of tests shares: its folder's Kafka, that of `broker`, or nothing but itself."""
    conftest = file.parent / "conftest.py"
    if conftest.exists() and 'scope="package"' in conftest.read_text(encoding="utf-8"):
        return str(file.parent)
    return "broker" if "broker: EmbeddedKafka" in file.read_text(encoding="utf-8") else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedKafkas:
    """Say how tests are distributed to processes."""
    return SharedKafkas(config, log)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Return a running, shared Kafka; tests must give their topics and groups names of their own."""
    from streams.broker.embedded import EmbeddedKafka

    with EmbeddedKafka(
        tmp_path_factory.mktemp("kafka"), cache_dir=Settings.model_validate({}).cache_dir
    ) as running:
        yield running


@pytest.fixture(scope="session")
def new_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], EmbeddedKafka]]:
    """Return a function that returns a Kafka with empty topics, emptied again at each call."""
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
