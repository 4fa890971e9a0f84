"""Looks for what is wrong with an installation: each finding says what it is, and what to do.

machine     packages, Java, disk, checkpoints
cluster     Kafka, rights, topics, partitioners, clocks
processes   workers and recommenders
"""

from __future__ import annotations

from collections.abc import Iterator

from alsobought.doctor import cluster, machine, processes
from alsobought.doctor.finding import EXPECTED, Finding, Level, tried
from alsobought.options import bootstrap_of
from streams.settings import Settings

__all__ = ["Finding", "Level", "findings"]


def findings(settings: Settings) -> Iterator[Finding]:
    """Yield what is found, one after the other; without Kafka, what needs it is left out."""
    yield from tried("packages", lambda: machine.packages(machine.lock_file()))
    yield from tried("java", lambda: machine.java(settings))
    yield from tried("disk", lambda: machine.disk(settings))
    yield from tried("checkpoints", lambda: machine.checkpoints(settings))
    try:
        bootstrap = bootstrap_of(settings)
        yield from cluster.kafka(bootstrap, settings)
    except EXPECTED as error:
        yield Finding(Level.ERROR, "kafka", str(error))
        return
    yield from tried("topics", lambda: cluster.topics(bootstrap, settings))
    yield from tried("partitioner", lambda: cluster.partitioner(bootstrap, settings))
    yield from tried("clock", lambda: cluster.clock(bootstrap))
    yield from tried("processes", lambda: processes.processes(bootstrap, settings))
