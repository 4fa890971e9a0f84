"""Who lacks a right is told which one: a process when it starts, a reader, and a command."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError
from faust.types import TP
from typer.testing import CliRunner

from alsobought.cli import app
from streams.broker.admin import admin_client
from streams.broker.errors import RightsMissing
from streams.broker.topics_admin import check_rights, require_topics
from streams.connections.bootstrap import Bootstrap
from streams.kafka.publishing import publish
from streams.kafka.readers import new_reader
from streams.kafka.stopping import start, stop
from streams.kafka.topic_reader import TopicReader
from streams.messages.schema import CatalogueItem, encode
from streams.rights import ROLES, Right, rights_of, topics_in
from streams.settings import Settings
from tests.streams.connections.secured import SecuredKafka, acl_of, settings, unsigned_token
from tests.streams.pipeline import until

STARTED = [role for role in ROLES if role != "operator"]
"""The roles whose rights are checked together, when one of their processes starts."""


def without(number: int, role: str) -> str:
    return f"{role}-without-{number}"


@pytest.fixture(scope="module")
def lacking(secured: SecuredKafka) -> SecuredKafka:
    """For each right of each role a principal that has the others; users of OAUTHBEARER need not be made."""
    made = []
    for role in STARTED:
        rights = rights_of(role, settings())
        for number in range(len(rights)):
            others = [right for right in rights if right != rights[number]]
            made += [acl_of(f"User:{without(number, role)}", right) for right in others]
    with admin_client(secured.admin) as admin:
        assert not admin.create_acls(made)["failed"]
    role, rights = "publisher", rights_of("publisher", settings())
    last = len(rights) - 1
    until(lambda: missing(secured, role, without(last, role)) == [rights[last]], "the rights")
    return secured


def bearer(kafka: SecuredKafka, user: str) -> Settings:
    (kafka.folder / "token").write_text(unsigned_token(user))
    return settings(
        kafka=kafka.clear, kafka_security_protocol="SASL_PLAINTEXT", kafka_sasl_mechanism="OAUTHBEARER",
        kafka_token_file=kafka.folder / "token",
    )  # fmt: skip


def missing(kafka: SecuredKafka, role: str, user: str) -> list[Right]:
    """Return what a user is said to lack for a role."""
    rights = rights_of(role, settings())
    try:
        require_topics(Bootstrap.of(bearer(kafka, user)), topics_in(rights, settings()), rights)
    except RightsMissing as error:
        return list(error.rights)
    return []


@pytest.mark.parametrize("role", STARTED)
def test_with_one_less_it_is_named(lacking: SecuredKafka, role: str) -> None:
    for number, right in enumerate(rights_of(role, settings())):
        assert missing(lacking, role, without(number, role)) == [right]


def test_a_reader_of_our_own_topics_names_the_right_that_was_taken(lacking: SecuredKafka) -> None:
    right, rights = Right("topic", "related-items", "Read"), rights_of("worker", settings())
    user = without(rights.index(right), "worker")

    async def main() -> None:
        reader = TopicReader(Bootstrap.of(bearer(lacking, user)))
        try:
            await reader.keys(TP("related-items", 0), 0, 1)
        finally:
            await reader.close()

    with pytest.raises(RightsMissing, match=f"What is missing: {right}"):
        asyncio.run(main())


COMMANDS = [
    (Right("topic", "progress", "Read"), ["drain"]),
    (Right("topic", "bestsellers", "Read"), ["bestsellers"]),
    (Right("topic", "ranker", "DescribeConfigs"), ["topics", "list"]),
    (Right("topic", "liked", "Create"), ["topics", "create"]),
    (Right("topic", "purchases", "Write"), ["forget", "nobody"]),
    (Right("topic", "items", "Write"), ["publish", "items", "{items}"]),
    (Right("group", "alsobought", "Describe"), ["rebuild", "--yes"]),
]


@pytest.mark.parametrize(("right", "words"), COMMANDS, ids=lambda some: str(some))
def test_a_command_names_the_right_that_it_lacks(
    secured: SecuredKafka, right: Right, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, items = f"operator-without-{right.operation}-{right.name}", tmp_path / "items.jsonl"
    items.write_bytes(encode(CatalogueItem(item_id="i4", title="Assam")))
    of = settings(event_types="liked") if right.name == "liked" else settings()
    rights = rights_of("operator", of)
    assert right in rights
    granted = [one for one in rights if one != right]
    secured.grant(f"User:{user}", granted)
    # the last of them is heard of by the broker a little later
    reach = bearer(secured, user)
    until(lambda: allowed(reach, [one for one in granted if one.operation == "Write"]), "the rights")
    for name in ("kafka", "kafka_security_protocol", "kafka_sasl_mechanism", "kafka_token_file"):
        monkeypatch.setenv(f"ALSOBOUGHT_{name.upper()}", str(getattr(reach, name)))
    monkeypatch.setenv("ALSOBOUGHT_DATA_DIR", str(tmp_path / "data"))
    if right.name == "liked":
        monkeypatch.setenv("ALSOBOUGHT_EVENT_TYPES", "liked")
    answer = CliRunner().invoke(app, [word.format(items=items) for word in words])
    assert answer.exit_code == 1
    assert f"What is missing: {right}. Ask who administers it to grant that:\nkafka-acls.sh" in answer.stderr
    assert "--allow-principal User:NAME --operation" in answer.stderr
    assert "NAME is what Kafka knows this process as" in answer.stderr
    assert f"--operation {right.operation} \\\n    --{right.resource} {right.name}" in answer.stderr


def allowed(reach: Settings, rights: list[Right]) -> bool:
    try:
        check_rights(Bootstrap.of(reach), [right for right in rights if not right.name.endswith("liked")])
    except RightsMissing:
        return False
    return True


def test_a_reader_of_a_topic_it_may_not_even_know_of_is_told(secured: SecuredKafka) -> None:
    """So it is when a right is taken, and Kafka is asked about the topic before a fetch is refused."""
    reach = Bootstrap.of(bearer(secured, "stranger"))

    async def main() -> None:
        consumer = new_reader(reach)
        try:
            await start(consumer)
            consumer.assign([TopicPartition("related-items", 0)])
            async with asyncio.timeout(20):
                while True:
                    await consumer.getmany(timeout_ms=100)
        finally:
            await stop(consumer)

    with pytest.raises(TopicAuthorizationFailedError, match="related-items"):
        asyncio.run(main())


def test_who_publishes_is_told_of_a_right_that_is_taken_meanwhile(secured: SecuredKafka) -> None:
    right = Right("topic", "purchases", "Write")
    secured.grant("User:losing", [right])
    reach = bearer(secured, "losing")
    until(lambda: allowed(reach, [right]), "the right")
    acknowledged: list[int] = []

    def batches() -> Iterator[list[tuple[bytes, bytes]]]:
        yield [(b"ann", b"{}")] * 10
        until(lambda: acknowledged, "the first records")
        secured.take("User:losing", [right])
        until(lambda: not allowed(reach, [right]), "the loss")
        yield [(b"ann", b"{}")] * 10

    async def publishing() -> None:
        await publish(
            Bootstrap.of(reach), "purchases", batches(), on_progress=acknowledged.append, stall_timeout_s=5
        )

    with pytest.raises(RightsMissing, match=f"What is missing: {right}"):
        asyncio.run(publishing())
    assert acknowledged[-1] == 10
