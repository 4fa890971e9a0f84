"""A Kafka with TLS, SASL and access control lists, for all tests of security, and who may do what there."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)

from streams.broker.admin import admin_client
from streams.broker.embedded import EmbeddedKafka
from streams.broker.ports import free_port
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.rights import Right
from streams.settings import Settings
from tests.streams.connections.certificates import Authority
from tests.streams.pipeline import PARTITIONS, TOPICS

PLAIN_USER, PASSWORD = "ann", "s3cret,of=ann"
"""The user of PLAIN, who has all rights, also by certificate; users of SCRAM have the same password."""

ANYBODY = "User:ANONYMOUS"
"""Who comes through the listener without security: tests administer Kafka by it."""

_LOGIN = "org.apache.kafka.common.security"
_MODULES = {
    "plain": f'{_LOGIN}.plain.PlainLoginModule required user_{PLAIN_USER}="{PASSWORD}";',
    "scram-sha-256": f"{_LOGIN}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{_LOGIN}.scram.ScramLoginModule required;",
    "oauthbearer": f'{_LOGIN}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="x";',
}


class SecuredKafka:
    """The broker, its listeners and certificates.

    Attributes
    ----------
    admin
        The address without security, by which a test has all rights.
    mutual, sasl, clear
        The addresses for TLS with certificates of clients, for SASL over TLS, and for SASL without TLS.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        certificate, key = self.authority.sign("broker")
        (folder / "broker.chain").write_bytes(key.read_bytes() + certificate.read_bytes())
        taken: list[int] = []
        for _ in range(5):
            taken.append(free_port(None, avoid=taken))
        plain, controller, *_ = addresses = [f"127.0.0.1:{port}" for port in taken]
        _, _, self.mutual, self.sasl, self.clear = addresses
        listeners = f"PLAINTEXT://{plain},MUTUAL://{self.mutual},SASL://{self.sasl},CLEAR://{self.clear}"
        properties = {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{listeners},CONTROLLER://{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MUTUAL:SSL,"
            "SASL:SASL_SSL,CLEAR:SASL_PLAINTEXT",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "broker.chain"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "listener.name.mutual.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"{ANYBODY};User:{PLAIN_USER};User:CN={PLAIN_USER}",
            # clients must show again who they are, or are cut off and connect again
            "connections.max.reauth.ms": "12000",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
        }
        for listener in ("sasl", "clear"):
            for mechanism, module in _MODULES.items():
                properties[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = module
        self.kafka = EmbeddedKafka(
            folder, port=taken[0], cache_dir=Settings.model_validate({}).cache_dir, properties=properties
        )

    @property
    def admin(self) -> Bootstrap:
        return self.kafka.bootstrap

    def start(self) -> None:
        """Start it, with all topics."""
        self.kafka.start()
        create_topics(self.admin, TOPICS, PARTITIONS, 1)

    def add_users(self, names: Iterable[str], mechanism: str = "SCRAM-SHA-512") -> None:
        """Make users of SCRAM."""
        made = [UserScramCredentialUpsertion(name, mechanism, PASSWORD) for name in names]
        with admin_client(self.admin) as admin:
            answers = admin.alter_user_scram_credentials(made)
        assert not any(answers.values()), answers

    def grant(self, principal: str, rights: Iterable[Right]) -> None:
        """Give a principal rights."""
        with admin_client(self.admin) as admin:
            made = admin.create_acls([acl_of(principal, right) for right in rights])
        assert not made["failed"]

    def take(self, principal: str, rights: Iterable[Right] | None = None) -> None:
        """Take rights from a principal, by default all."""
        filters = [_filter(principal)]
        if rights is not None:
            filters = [
                ACLFilter(a.principal, "*", a.operation, a.permission_type, a.resource_pattern)
                for a in (acl_of(principal, right) for right in rights)
            ]
        with admin_client(self.admin) as admin:
            admin.delete_acls(filters)

    def log_decisions(self) -> None:
        """Let the broker write every decision about a right into its log from now on."""
        with admin_client(self.admin) as admin:
            node = str(admin.describe_cluster()["brokers"][0]["broker_id"])
            logger = ConfigResource(
                ConfigResourceType.BROKER_LOGGER, node, {"kafka.authorizer.logger": "DEBUG"}
            )
            admin.alter_configs([logger])

    def settings(self, address: str, **more: Any) -> Settings:
        """Return settings that reach a listener."""
        return Settings(kafka=address, kafka_ca_file=self.authority.file, **more)

    def user(self, name: str, **more: Any) -> Settings:
        """Return the settings of a user of SCRAM."""
        return self.settings(
            self.sasl, kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="SCRAM-SHA-512",
            kafka_username=name, kafka_password=PASSWORD, **more,
        )  # fmt: skip


def settings(**given: object) -> Settings:
    return Settings.model_validate(given)


def acl_of(principal: str, right: Right) -> ACL:
    operation = {"DescribeConfigs": "DESCRIBE_CONFIGS"}.get(right.operation, right.operation.upper())
    pattern = ResourcePattern(ResourceType[right.resource.upper()], right.name)
    return ACL(principal, "*", ACLOperation[operation], ACLPermissionType.ALLOW, pattern)


def _filter(principal: str) -> ACLFilter:
    anything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    return ACLFilter(principal, None, ACLOperation.ANY, ACLPermissionType.ANY, anything)


def unsigned_token(user: str, lifetime_s: int = 3_600) -> str:
    """Return a token that Kafka's validator for tests accepts; it has no signature (RFC 7515, A.5)."""
    now = int(time.time())
    parts = {"alg": "none"}, {"sub": user, "iat": now, "exp": now + lifetime_s}
    text = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*text, ""])
