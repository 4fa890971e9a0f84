"""Consumers of no group: they read partitions that they are told, from where they are told."""

from __future__ import annotations

from typing import Any

from streams.connections import clients
from streams.connections.bootstrap import Bootstrap


def new_reader(bootstrap: Bootstrap, **more: Any) -> Any:
    """Return a consumer of no group, not started, that begins where a partition begins unless it is sought.

    Parameters
    ----------
    bootstrap
        Kafka.
    more
        Further settings of aiokafka's consumer.
    """
    return clients.consumer(bootstrap, group_id=None, auto_offset_reset="earliest", **more)
