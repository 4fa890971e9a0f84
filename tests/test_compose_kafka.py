"""The Kafka of docker-compose.yml is checked without Docker: ours starts with its properties."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from streams.broker.admin import admin_client
from streams.broker.datadir import BrokerDir
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.kinds import LISTED, topics_of_kinds
from streams.settings import Settings
from tests.compose import SERVICES

TOPICS = topics_of_kinds(LISTED)
CACHE = Settings.model_validate({}).cache_dir

OF_THE_IMAGE = {"KAFKA_HEAP_OPTS"}  # its start script reads these, and they are no properties


def kafka_properties() -> dict[str, str]:
    """Return the broker properties that the image makes from its environment: KAFKA_FOO_BAR is foo.bar."""
    environment: Mapping[str, object] = SERVICES["kafka"]["environment"]
    assert all(name.startswith("KAFKA_") and "__" not in name for name in environment)
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in environment.items()
        if name not in OF_THE_IMAGE
    }


def test_kafka_knows_every_property(broker: EmbeddedKafka) -> None:
    with admin_client(broker.bootstrap) as admin:
        resource = ConfigResource(ConfigResourceType.BROKER, "1")
        known = set(admin.describe_configs([resource], config_filter="all")["broker"]["1"])
    assert "log.dirs" in known
    assert "no.such.property" not in known
    assert set(kafka_properties()) - known == set()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> dict[int, int]:
    """Return a free local port for each port in the container."""
    place = BrokerDir(tmp_path_factory.mktemp("ports"))
    (outside, controller), (inside, _) = place.choose_ports(0), place.choose_ports(0)
    return {9092: outside, 9093: controller, 19092: inside}


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, ports: dict[int, int]) -> Iterator[EmbeddedKafka]:
    """Start our Kafka with the properties of the container, and its addresses moved to free local ports."""

    def moved(match: re.Match[str]) -> str:
        return f"{match['before']}127.0.0.1:{ports[int(match['port'])]}"

    properties = {
        name: re.sub(r"(?P<before>//|@)[^:/,@]+:(?P<port>\d+)", moved, value)
        for name, value in kafka_properties().items()
        if name != "log.dirs"
    }
    place = tmp_path_factory.mktemp("composed")
    with EmbeddedKafka(place, port=ports[9092], cache_dir=CACHE, properties=properties) as running:
        yield running


def test_kafka_starts_with_these_properties_and_serves_both_sides(
    composed: EmbeddedKafka, ports: dict[int, int]
) -> None:
    assert create_topics(composed.bootstrap, TOPICS, 2, 1) == [spec.name for spec in TOPICS]
    with admin_client(Bootstrap(f"127.0.0.1:{ports[19092]}")) as admin:
        (node,) = admin.describe_cluster()["brokers"]
    assert node["port"] == ports[19092], "who comes from inside is sent to the inside"
    log = composed.log.read_text()
    assert not re.search(r"unknown config|not a known config|supplied but are not used", log, re.IGNORECASE)
