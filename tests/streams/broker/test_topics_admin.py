from __future__ import annotations

import dataclasses
import socket
import time

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from streams import topics
from streams.broker import admin
from streams.broker.admin import admin_client
from streams.broker.embedded import EmbeddedKafka
from streams.broker.errors import KafkaUnreachable, PartitionsDiffer, TopicsMissing, TopicsRefused
from streams.broker.topics_admin import TopicState, create_topics, list_topics, require_topics
from streams.connections.bootstrap import Bootstrap
from tests.streams.pipeline import TOPICS


def renamed(prefix: str) -> list[topics.TopicSpec]:
    return [dataclasses.replace(spec, base=f"{prefix}-{spec.base}") for spec in TOPICS]


def test_topics_are_created_as_specified_and_only_once(broker: EmbeddedKafka) -> None:
    specs = renamed("once")
    assert list_topics(broker.bootstrap, specs) == []
    assert create_topics(broker.bootstrap, specs[:2], 3, 1) == ["once-purchases", "once-pair-deltas"]
    assert create_topics(broker.bootstrap, specs, 3, 1) == [spec.name for spec in specs[2:]]
    assert create_topics(broker.bootstrap, specs, 3, 1) == []
    states = list_topics(broker.bootstrap, specs)
    assert [state.name for state in states] == [spec.name for spec in specs]
    assert states[0] == TopicState("once-purchases", 3, 1, "delete", -1)
    assert states[1] == TopicState("once-pair-deltas", 3, 1, "delete", 7 * topics.DAY_MS)
    assert states[2] == TopicState("once-related-items", 3, 1, "compact", None)


def test_every_entry_of_a_specification_reaches_kafka(broker: EmbeddedKafka) -> None:
    specs = renamed("entries")
    create_topics(broker.bootstrap, specs, 1, 1)
    with admin_client(broker.bootstrap) as admin:
        for spec in specs:
            found = admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, spec.name)], config_filter="all"
            )["topic"][spec.name]
            assert {name: found[name]["value"] for name in spec.config} == spec.config


def test_another_partition_count_is_refused_and_nothing_is_created(broker: EmbeddedKafka) -> None:
    specs = renamed("counts")
    create_topics(broker.bootstrap, specs[:1], 2, 1)
    with pytest.raises(PartitionsDiffer) as caught:
        create_topics(broker.bootstrap, specs, 4, 1)
    assert "counts-purchases has 2" in str(caught.value)
    assert "4 as asked for" in str(caught.value)
    assert "ALSOBOUGHT_PARTITIONS" in str(caught.value)
    assert [state.name for state in list_topics(broker.bootstrap, specs)] == ["counts-purchases"]


def test_a_worker_is_refused_without_its_topics(broker: EmbeddedKafka) -> None:
    specs = renamed("required")
    watches = next(n for n, spec in enumerate(specs) if spec.name == "required-watches")
    create_topics(broker.bootstrap, specs[:watches], 2, 1)
    require_topics(broker.bootstrap, specs[:watches])
    with pytest.raises(TopicsMissing, match=r"required-watches, .*`alsobought topics create`"):
        require_topics(broker.bootstrap, specs)
    create_topics(broker.bootstrap, specs[watches : watches + 1], 1, 1)
    with pytest.raises(PartitionsDiffer, match="required-watches has 1"):
        require_topics(broker.bootstrap, specs[: watches + 1])


def test_too_many_replicas_are_refused_with_kafkas_reason(broker: EmbeddedKafka) -> None:
    with pytest.raises(TopicsRefused, match=r"replicas-purchases.*ALSOBOUGHT_REPLICATION"):
        create_topics(broker.bootstrap, renamed("replicas")[:1], 1, 3)


def test_a_missing_broker_is_an_error_within_seconds() -> None:
    with socket.socket() as closed:
        # the port is bound but not listening, so that nobody else can take it meanwhile
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(KafkaUnreachable, match=rf"no Kafka answers at {address} .*ALSOBOUGHT_KAFKA"):
            create_topics(Bootstrap(address), TOPICS, 1, 1, timeout_s=1)
        assert time.monotonic() - start < 5


def test_an_open_port_has_longer_to_answer_than_a_closed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "ANSWER_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(KafkaUnreachable, match=rf"{address} \({address}: no answer within 0.4 s\)"):
            list_topics(Bootstrap(address), TOPICS, timeout_s=0)


@pytest.mark.parametrize("address", ["kafka", "kafka:port", ""])
def test_an_address_without_a_port_is_named(address: str) -> None:
    with pytest.raises(KafkaUnreachable, match=f"'{address}' is not host:port"):
        list_topics(Bootstrap(address), TOPICS, timeout_s=0.1)
