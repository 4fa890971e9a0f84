"""What `doctor` finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from kafka.errors import KafkaError

from alsobought.options import CommandError
from state.errors import StateError
from streams.broker.errors import BrokerError
from streams.stores.checkpoints import CheckpointError

EXPECTED = (BrokerError, CheckpointError, CommandError, KafkaError, StateError, OSError)


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


class Finding(NamedTuple):
    """What was found: about what, how it is, and what to do if it is not well."""

    level: Level
    about: str
    what: str
    what_to_do: str = ""


def tried(about: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Yield what a check finds; what it fails with is an error."""
    try:
        yield from check()
    except EXPECTED as error:
        yield Finding(Level.ERROR, about, str(error))
