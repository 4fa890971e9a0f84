"""Consumers of no group. All are made here, so that all of them read committed records only.

The records of an aborted transaction stay in the log, and a consumer that does not ask for committed records
gets them too. Records of a transaction that is still open are not read either: for such a consumer a
partition ends where the oldest open transaction began (Kafka's last stable offset). aiokafka has every codec
of Kafka, so that any topic can be read however its producers or its broker compress it.
"""

from __future__ import annotations

from typing import Any

from aiokafka import AIOKafkaConsumer

ISOLATION = "read_committed"


def new_reader(bootstrap: str, **more: Any) -> Any:
    """Return a consumer of no group, not started, that begins where a partition begins unless it is sought.

    Parameters
    ----------
    bootstrap
        Address of Kafka, host:port[,host:port].
    more
        Further settings of aiokafka's consumer.
    """
    return AIOKafkaConsumer(
        bootstrap_servers=[server.strip() for server in bootstrap.split(",")],
        group_id=None,
        auto_offset_reset="earliest",
        isolation_level=ISOLATION,
        **more,
    )
