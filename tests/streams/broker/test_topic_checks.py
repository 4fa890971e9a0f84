"""Differences of topics that another program made are found, with the command that changes them."""

from __future__ import annotations

import dataclasses

from typer.testing import CliRunner

from alsobought.cli import app
from streams import topics
from streams.broker.admin import admin_client
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topic_checks import change_commands, differences
from streams.broker.topics_admin import create_topics
from streams.kinds import topics_of
from streams.settings import Settings


def made(broker: EmbeddedKafka, configs: dict[str, dict[str, str]]) -> None:
    with admin_client(broker.bootstrap) as admin:
        admin.create_topics({
            name: {"num_partitions": 2, "replication_factor": 1, "configs": config}
            for name, config in configs.items()
        })  # fmt: skip
        admin.wait_for_topics(list(configs))


def test_topics_as_we_make_them_and_better_ones_do_not_differ(broker: EmbeddedKafka) -> None:
    specs = [
        dataclasses.replace(spec, base=f"same-{spec.base}") for spec in topics_of(Settings.model_validate({}))
    ]
    assert differences(broker.bootstrap, specs) == []
    create_topics(broker.bootstrap, specs, 2, 1)
    assert differences(broker.bootstrap, specs) == []
    deltas = dataclasses.replace(topics.PAIR_DELTAS, base="better-pair-deltas")
    made(
        broker,
        {deltas.name: {**deltas.config, "retention.ms": "-1", "max.message.bytes": str(20 << 20)}},
    )
    assert differences(broker.bootstrap, [deltas]) == []


def test_topics_made_with_kafkas_defaults_are_reported(broker: EmbeddedKafka) -> None:
    purchases = dataclasses.replace(topics.PURCHASES, base="plain-purchases")
    items = dataclasses.replace(topics.ITEMS, base="plain-items")
    deltas = dataclasses.replace(topics.PAIR_DELTAS, base="plain-pair-deltas")
    made(
        broker,
        {
            purchases.name: {"retention.bytes": "1000000000", "max.message.bytes": "1000012"},
            items.name: {},
            deltas.name: {**deltas.config, "max.message.bytes": "1048576"},
        },
    )
    found = differences(broker.bootstrap, [purchases, items, deltas])
    assert [(one.topic, one.entry, one.breaks) for one in found] == [
        ("plain-purchases", "max.message.bytes", False),
        ("plain-purchases", "retention.ms", False),
        ("plain-purchases", "retention.bytes", False),
        ("plain-purchases", "message.timestamp.type", False),
        ("plain-items", "cleanup.policy", True),
        ("plain-items", "message.timestamp.type", False),
        ("plain-pair-deltas", "max.message.bytes", True),
    ]
    assert "retention.ms is 604800000 and should be -1: records are deleted after 7 days" in str(found[1])
    assert change_commands(broker.bootstrap, found)[0] == (
        f"kafka-configs.sh --bootstrap-server {broker.bootstrap} --alter --entity-type topics"
        " --entity-name plain-purchases --add-config max.message.bytes=1048576,retention.ms=-1,"
        "retention.bytes=-1,message.timestamp.type=LogAppendTime"
    )


def test_the_command_reports_differences_and_fails_only_if_counts_are_at_stake(
    broker: EmbeddedKafka,
) -> None:
    words = ["topics", "create", "--kafka", broker.bootstrap.servers]
    plain = {"ALSOBOUGHT_PARTITIONS": "2"}
    made(broker, {"purchases": {}})
    noted = CliRunner().invoke(app, words, env=plain)
    assert noted.exit_code == 0, noted.stderr
    assert "created items" in noted.stdout
    assert "note: purchases: message.timestamp.type is CreateTime" in noted.stderr
    assert "--entity-name purchases --add-config retention.ms=-1,message.timestamp.type=Log" in noted.stderr
    made(broker, {"liked": {"cleanup.policy": "compact"}})
    wrong = CliRunner().invoke(app, words, env={**plain, "ALSOBOUGHT_EVENT_TYPES": "liked"})
    assert wrong.exit_code == 1
    assert "wrong: liked: cleanup.policy is compact and should be delete" in wrong.stderr
    assert "change the topics liked before workers start" in wrong.stderr
