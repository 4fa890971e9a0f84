"""The errors of the broker; each message has the operator's next step.

    BrokerError
      ├─ JavaNotFound
      ├─ JarsError
      │    ├─ DownloaderMissing
      │    ├─ DownloadFailed
      │    ├─ JarRefused
      │    ├─ CacheUnusable
      │    └─ KafkaHomeUnusable
      ├─ StartError
      │    ├─ PortTaken
      │    ├─ DataDirBusy
      │    ├─ DataDirUnusable
      │    └─ BrokerDied
      └─ TopicsError
           ├─ KafkaUnreachable
           ├─ TopicsMissing
           ├─ PartitionsDiffer
           ├─ TopicsRefused
           └─ RightsMissing

Each message says what happened, where, and what to do, so a command line can print it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from streams.connections.bootstrap import Bootstrap
from streams.rights import Right, acl_commands


class BrokerError(Exception):
    """The base of all errors of the embedded broker and of the topics; print the message and stop."""


class JavaNotFound(BrokerError):
    """No Java 17 or newer was found: install one, or set JAVA_HOME to it."""


class JarsError(BrokerError):
    """Kafka's jars are not usable; see the subclasses."""


class DownloaderMissing(JarsError):
    """The package that fetches the jars is not installed: install the extra `local`."""


class DownloadFailed(JarsError):
    """The jars could not be fetched: restore the network and start again, or set ALSOBOUGHT_KAFKA_HOME."""


class JarRefused(JarsError):
    """A jar is not the one this release was tested with: find out who changed it; never run it."""


class CacheUnusable(JarsError):
    """The cache directory cannot be written: give it back its permissions or set ALSOBOUGHT_CACHE_DIR."""


class KafkaHomeUnusable(JarsError):
    """ALSOBOUGHT_KAFKA_HOME holds no Kafka: point it at the directory that has libs/ and bin/."""


class StartError(BrokerError):
    """The broker did not start; see the subclasses."""


class PortTaken(StartError):
    """Another program listens on the port asked for: end it, or ask for another port (0: any free one)."""


class DataDirBusy(StartError):
    """A live broker owns the data directory: use that broker, stop it, or give this one its own directory."""


class DataDirUnusable(StartError):
    """The data directory cannot be written: repair its permissions or set ALSOBOUGHT_DATA_DIR."""


class BrokerDied(StartError):
    """The broker ended or never answered while starting: its last log lines are in the message."""


class TopicsError(BrokerError):
    """The topics could not be made or read; see the subclasses."""


class KafkaUnreachable(TopicsError):
    """No broker answers at the bootstrap address: start Kafka, or correct ALSOBOUGHT_KAFKA."""


class TopicsMissing(TopicsError):
    """Topics that a worker reads or writes do not exist: create them with `alsobought topics create`."""


class PartitionsDiffer(TopicsError):
    """The topics do not all have the partitions asked for: set ALSOBOUGHT_PARTITIONS to what exists."""


class TopicsRefused(TopicsError):
    """Kafka refused to create a topic: its reason is in the message."""


class RightsMissing(TopicsError):
    """Kafka does not let this process do what it needs: the message has the commands that grant it."""

    def __init__(self, bootstrap: Bootstrap, rights: Iterable[Right]) -> None:
        self.rights = tuple(sorted(rights))
        who = bootstrap.security.principal
        listed = "; ".join(map(str, self.rights))
        commands = "\n".join(acl_commands(self.rights, who or "User:NAME", bootstrap.servers))
        unknown = "" if who else "\nNAME is what Kafka knows this process as, by its certificate or token."
        super().__init__(
            f"Kafka at {bootstrap} does not let {who or 'this process'} do what is needed here. What is"
            f" missing: {listed}. Ask who administers it to grant that:\n{commands}{unknown}"
        )
