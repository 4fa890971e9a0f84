"""Settings of the connection to Kafka: where it is, how it is secured, and who this process is to it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr


class KafkaSettings(BaseModel):
    """The part of `streams.settings.Settings` of which `streams.connections` makes connections.

    `streams.connections.security` refuses those that do not go together.
    """

    kafka: str | None = Field(None, description="bootstrap address of Kafka, host:port[,host:port]")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how connections to this Kafka are secured, by Kafka's names"
    )
    kafka_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign brokers' certificates; without it the system's",
    )
    kafka_certificate_file: Path | None = Field(
        None, description="certificate that this process shows to Kafka (mutual TLS), in PEM, with its chain"
    )
    kafka_key_file: Path | None = Field(
        None, description="private key of that certificate, in PEM; without it the key in the same file"
    )
    kafka_key_password: SecretStr | None = Field(None, description="password of that key, if it is encrypted")
    kafka_key_password_file: Path | None = Field(None, description="file with that password")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        None, description="how this process shows Kafka who it is, with SASL"
    )
    kafka_username: str | None = Field(None, description="user of PLAIN and SCRAM")
    kafka_password: SecretStr | None = Field(None, description="password of that user")
    kafka_password_file: Path | None = Field(None, description="file with that password")
    kafka_token_file: Path | None = Field(
        None, description="file with the token of OAUTHBEARER; it is read anew for each connection"
    )
    kafka_token_url: str | None = Field(
        None, description="token endpoint that gives tokens of OAUTHBEARER for client credentials"
    )
    kafka_token_client_id: str | None = Field(None, description="client id at the token endpoint")
    kafka_token_client_secret: SecretStr | None = Field(None, description="secret of that client")
    kafka_token_client_secret_file: Path | None = Field(None, description="file with that secret")
    kafka_token_scope: str | None = Field(None, description="scope to ask the token endpoint for")
