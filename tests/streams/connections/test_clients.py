"""Every client with every kind of security on a real Kafka; refusals, and logs without secrets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streams.broker.admin import admin_client
from streams.broker.errors import KafkaUnreachable
from streams.broker.topics_admin import partition_counts
from streams.connections import clients
from streams.connections.bootstrap import Bootstrap
from streams.connections.errors import NotAdmitted, TokenUnavailable
from streams.kafka.follower import read_all, send
from streams.kafka.publishing import publish
from streams.settings import Settings
from streams.topics import MODELS
from tests.streams.connections.certificates import Authority
from tests.streams.connections.secured import PASSWORD, PLAIN_USER, SecuredKafka, unsigned_token
from tests.streams.pipeline import PARTITIONS, until

SASL: dict[str, Any] = {"kafka_security_protocol": "SASL_SSL"}
USER = {"kafka_username": PLAIN_USER, "kafka_password": PASSWORD}
Make = Callable[[SecuredKafka], Settings]


def mutual(secured: SecuredKafka, authority: Authority | None = None) -> Settings:
    certificate, key = (authority or secured.authority).sign(PLAIN_USER)
    return secured.settings(
        secured.mutual, kafka_security_protocol="SSL", kafka_certificate_file=certificate,
        kafka_key_file=key,
    )  # fmt: skip


def with_user(mechanism: str, **more: Any) -> Make:
    return lambda secured: secured.settings(
        secured.sasl, **{**SASL, "kafka_sasl_mechanism": mechanism, **USER, **more}
    )


def with_token(token: str) -> Make:
    def make(secured: SecuredKafka) -> Settings:
        (secured.folder / "token").write_text(token)
        return secured.settings(
            secured.sasl,
            **SASL,
            kafka_sasl_mechanism="OAUTHBEARER",
            kafka_token_file=secured.folder / "token",
        )

    return make


def in_the_clear(secured: SecuredKafka) -> Settings:
    given = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "SCRAM-SHA-256", **USER}
    return Settings.model_validate({"kafka": secured.clear, **given})


ADMITTED: dict[str, Make] = {
    "mutual TLS": mutual,
    "PLAIN": with_user("PLAIN"),
    "SCRAM-SHA-256": with_user("SCRAM-SHA-256"),
    "SCRAM-SHA-512": with_user("SCRAM-SHA-512"),
    "OAUTHBEARER": with_token(unsigned_token(PLAIN_USER)),
    "without TLS": in_the_clear,
}


@pytest.fixture(scope="module")
def kafka(secured: SecuredKafka) -> SecuredKafka:
    """The secured Kafka, with the user in every mechanism."""
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
        secured.add_users([PLAIN_USER], mechanism)
    for name in ("SCRAM-SHA-256", "SCRAM-SHA-512"):  # the broker hears of a user after the controller
        until(lambda name=name: admitted(ADMITTED[name](secured)), "the users")  # type: ignore[misc]
    return secured


def admitted(settings: Settings) -> bool:
    try:
        with admin_client(Bootstrap.of(settings)):
            return True
    except NotAdmitted:
        return False


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with contextlib.ExitStack() as levels:
        for library in ("", "kafka", "aiokafka"):  # a test before may have made them quieter
            levels.enter_context(caplog.at_level(logging.DEBUG, logger=library))
        yield caplog


@pytest.mark.parametrize("how", ADMITTED)
def test_every_client_is_admitted_and_logs_no_secret(
    kafka: SecuredKafka, how: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    bootstrap = Bootstrap.of(ADMITTED[how](kafka))
    assert partition_counts(bootstrap, [MODELS]) == {MODELS.name: PARTITIONS}  # the admin client
    offsets = send(bootstrap, MODELS, [(0, b"key", how.encode())])  # kafka-python's producer
    sent = asyncio.run(publish(bootstrap, MODELS.name, [[(b"key", how.encode())]]))  # aiokafka's
    assert sent.records == 1
    read = [row for row in read_all(bootstrap, MODELS) if row.value == how.encode()]
    assert len(read) == 2
    assert (read[0].partition, read[0].offset) == (0, offsets[0]) or read[1].offset == offsets[0]
    shown = "\n".join(record.getMessage() for record in everything_logged.records)
    assert "kafka.net" in {r.name.rpartition(".")[0] for r in everything_logged.records}, "it is logged"
    token = bootstrap.security.tokens.token() if bootstrap.security.tokens else PASSWORD
    for secret in (token, base64.b64encode(token.encode()).decode(), token.encode().hex()):
        assert secret not in shown


def strangers(secured: SecuredKafka) -> Authority:
    folder = secured.folder / "strangers"
    folder.mkdir(exist_ok=True)
    return Authority(folder, "strangers")


def unknown_authority(secured: SecuredKafka) -> Settings:
    return ADMITTED["PLAIN"](secured).model_copy(update={"kafka_ca_file": strangers(secured).file})


def other_name(secured: SecuredKafka) -> Settings:
    address = secured.sasl.replace("127.0.0.1", "127.0.0.2")
    return ADMITTED["PLAIN"](secured).model_copy(update={"kafka": address})


REFUSED: dict[str, tuple[Make, str]] = {
    "a wrong password": (
        with_user("SCRAM-SHA-512", kafka_password="wr0ng"),
        r"refuses the credentials of User:ann \(SCRAM-SHA-512\): correct ALSOBOUGHT_KAFKA_USERNAME and its p",
    ),
    "a wrong password of PLAIN": (
        with_user("PLAIN", kafka_password="wr0ng"), r"refuses the credentials of User:ann \(PLAIN\)"
    ),
    "an unknown user": (with_user("SCRAM-SHA-256", kafka_username="zoe"), "the credentials of User:zoe"),
    "an expired token": (with_token(unsigned_token(PLAIN_USER, -60)), "it may have expired"),
    "a broker of another authority": (unknown_authority, "is not accepted: .*ALSOBOUGHT_KAFKA_CA_FILE"),
    "no certificate": (
        lambda secured: secured.settings(secured.mutual, kafka_security_protocol="SSL"),
        r"may have another protocol than ALSOBOUGHT_KAFKA_SECURITY_PROTOCOL=SSL, or want a certificate",
    ),
    "a certificate of another authority": (
        lambda secured: mutual(secured, strangers(secured)), "ends the connection: .*CERTIFICATE_FILE"
    ),
    "TLS without SASL": (
        lambda secured: secured.settings(secured.sasl, kafka_security_protocol="SSL"), "another protocol"
    ),
    "TLS where there is none": (
        lambda secured: secured.settings(secured.admin.servers, kafka_security_protocol="SSL"),
        "another protocol than ALSOBOUGHT_KAFKA_SECURITY_PROTOCOL=SSL",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_a_refusal_is_said_at_once_with_what_to_correct(
    kafka: SecuredKafka, why: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    make, said = REFUSED[why]
    bootstrap = Bootstrap.of(make(kafka))
    with pytest.raises(NotAdmitted, match=said) as caught:
        partition_counts(bootstrap, [MODELS], timeout_s=60)
    with pytest.raises(NotAdmitted, match=said):
        asyncio.run(publish(bootstrap, MODELS.name, []))
    shown = str(caught.value) + "\n".join(record.getMessage() for record in everything_logged.records)
    assert "wr0ng" not in shown
    assert PASSWORD not in shown


def test_no_security_where_kafka_has_it_is_named_too(kafka: SecuredKafka) -> None:
    bootstrap = Bootstrap(kafka.sasl)
    with pytest.raises(KafkaUnreachable, match=r"another protocol than .*SECURITY_PROTOCOL=PLAINTEXT"):
        partition_counts(bootstrap, [MODELS], timeout_s=0.5)


def test_a_token_that_is_not_there_is_named_and_the_next_one_is_used(kafka: SecuredKafka) -> None:
    bootstrap = Bootstrap.of(with_token("")(kafka))
    with pytest.raises(TokenUnavailable, match="must hold one token"):
        partition_counts(bootstrap, [MODELS])
    (kafka.folder / "token").write_text(unsigned_token(PLAIN_USER))
    assert partition_counts(bootstrap, [MODELS]) == {MODELS.name: PARTITIONS}


def test_a_client_that_runs_uses_the_token_that_a_file_has_when_it_connects_again(
    kafka: SecuredKafka,
) -> None:
    bootstrap = Bootstrap.of(with_token(unsigned_token(PLAIN_USER))(kafka))

    async def main() -> None:
        producer = clients.producer(bootstrap, acks="all")
        await producer.start()
        try:
            await producer.send_and_wait(MODELS.name, b"one", key=b"k", partition=0)
            (kafka.folder / "token").write_text(unsigned_token(PLAIN_USER, 7_200))
            for connection in list(producer.client._conns.values()):
                await connection.close()
            await producer.send_and_wait(MODELS.name, b"two", key=b"k", partition=0)
        finally:
            await producer.stop()

    asyncio.run(main())
    assert {row.value for row in read_all(kafka.admin, MODELS)} >= {b"one", b"two"}
