"""Where Kafka is, and how it is reached: what every function is given that talks to Kafka."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.connections.security import NAMES, PLAIN_TEXT, Security, security_of
from streams.settings_sources import FILE_VARIABLE, PREFIX, for_child

if TYPE_CHECKING:
    from streams.settings import Settings

USUAL_SERVERS = "127.0.0.1:9092"


@dataclass(frozen=True)
class Bootstrap:
    """Kafka's address and the security of connections to it; as text it is the address.

    Attributes
    ----------
    servers
        The address, host:port[,host:port].
    security
        How connections are secured; by default they are not.
    """

    servers: str
    security: Security = PLAIN_TEXT

    def __str__(self) -> str:
        return self.servers

    @property
    def addresses(self) -> list[str]:
        """The servers, one by one."""
        return [server.strip() for server in self.servers.split(",")]

    @classmethod
    def of(cls, settings: Settings) -> Bootstrap:
        """Return the Kafka of the settings; raise SecurityError."""
        return cls(settings.kafka or USUAL_SERVERS, security_of(settings))


def environment_for(bootstrap: Bootstrap, settings: Settings) -> dict[str, str]:
    """Return the environment of a process that shall use this Kafka and otherwise the same settings.

    It keeps the settings of security, unless the Kafka is reached without: those are of another one then, and
    a settings file that has them is not read again.
    """
    environment = {**for_child(settings, os.environ), "ALSOBOUGHT_KAFKA": bootstrap.servers}
    if bootstrap.security != PLAIN_TEXT:
        return environment
    if settings.model_fields_set & set(NAMES):
        environment[FILE_VARIABLE] = ""
    dropped = {f"{PREFIX}{name.upper()}" for name in NAMES}
    return {name: value for name, value in environment.items() if name.upper() not in dropped}
