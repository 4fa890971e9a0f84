"""A worker without Kafka that counts one partition of purchases. Helpers of the tests in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from state.storage.saving import Pace
from streams.kinds import BOUGHT
from streams.tasks import storing
from streams.tasks.customers import CustomerTask
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.streams.offline import PARTITIONS, Broker, Offline

EVENTS, DELTAS = TP(PURCHASES.name, 0), TP(PAIR_DELTAS.name, 0)
MESSAGES = PARTITIONS + 1  # messages of a chunk: deltas, and history changes


def save_in_every_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every cycle store all state that may be stored."""
    monkeypatch.setattr(storing, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(storing, "SAVES_AT_ONCE_S", 3600.0)
    monkeypatch.setattr(Pace, "share", lambda _pace, _done: 1.0)  # each step writes the whole sweep


async def new_worker(root: Path, *, at_once: bool = False, **settings: Any) -> tuple[Offline, CustomerTask]:
    """Return a worker with one task of purchases; the broker acknowledges at once only if `at_once`."""
    worker = Offline(root, Broker(at_once=at_once), settings)
    task = CustomerTask(EVENTS, worker.context, BOUGHT)
    await worker.open(task)
    task.machine.silent = False  # as if somebody had watched something
    return worker, task
