"""What runs and how far it is: from the topic `progress`, from where the topics end, and from the processes.

The topic says who owns what and how far it is, also of processes that are away. A process that answers says
the rest: its metrics (`streams.metrics`) have its memory, and the ages and sizes of its stores.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

from alsobought.clients import RECENT, exposition_of
from alsobought.options import CommandError
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower, TopicRecord, ends, read_all
from streams.kinds import counted_of, kinds_of
from streams.messages.schema import REPORTED, Progress, progress_of
from streams.settings import Settings
from streams.topics import PROGRESS

SILENT_S = 15.0  # a task reports every second, a new owner's takes 10 s
ASKED_AT_ONCE = 16


@dataclass
class ProcessState:
    """A worker or a recommender; what only it knows is None if it does not answer.

    Attributes
    ----------
    trouble : str or None
        Why it does not answer.
    memory_bytes : int or None
        Its resident memory.
    memory_parts : dict[str, int]
        Bytes by part, such as rows and histories.
    """

    address: str
    tasks: int
    trouble: str | None = None
    role: str | None = None
    version: str | None = None
    ready: bool | None = None
    memory_bytes: int | None = None
    memory_parts: dict[str, int] = field(default_factory=dict)
    rebalances: int | None = None


@dataclass
class TaskState:
    """A task, as it was reported last.

    Attributes
    ----------
    process : str or None
        The address of its owner; None if nobody has ever reported it.
    silent : bool
        Whether its owner has not reported it for `SILENT_S`.
    applied, end, lag : int or None
        The offset after the last record counted, the end of the partition, and the records between.
    reported_s, saved_s, checkpoint_s : float or None
        Seconds since it was reported, since its whole state was stored, and since its newest checkpoint was
        made.
    store_bytes : int or None
        The size of its store on the disk.
    """

    task: str
    process: str | None = None
    silent: bool = True
    applied: int | None = None
    stored: int | None = None
    end: int | None = None
    lag: int | None = None
    reported_s: float | None = None
    saved_s: float | None = None
    checkpoint_s: float | None = None
    store_bytes: int | None = None
    dead_letters: int | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None


@dataclass(frozen=True)
class Status:
    """Everything that is known of a system."""

    kafka: str
    processes: list[ProcessState]
    tasks: list[TaskState]


def status_of(bootstrap: Bootstrap, settings: Settings) -> Status:
    """Return what runs and how far it is.

    Raises
    ------
    KafkaUnreachable, TopicAbsent
    """
    ended = {
        f"{spec.name}-{partition}": end
        for spec in counted_of(settings)
        for partition, end in ends(bootstrap, spec).items()
    }
    served = {f"{REPORTED}{kind.events.name}" for kind in kinds_of(settings)}
    expected = [*ended, *(f"{REPORTED}{task}" for task in ended if _topic(f"{REPORTED}{task}") in served)]
    newest = _newest(bootstrap, set(expected))
    now_s = time.time()
    tasks = [_task(name, newest.get(name), ended[name.removeprefix(REPORTED)], now_s) for name in expected]
    addresses = sorted({task.process for task in tasks if task.process is not None})
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        processes = list(pool.map(lambda address: _ask(address, tasks, now_s), addresses))
    return Status(bootstrap.servers, processes, tasks)


def _topic(task: str) -> str:
    return task.rpartition("-")[0]


def _newest(bootstrap: Bootstrap, expected: set[str]) -> dict[str, tuple[Progress, int]]:
    """Return the newest report of each task, and when it was written, ms since 1970.

    Most are at the end of the topic; for those of a role that has long been away, all of it is read.
    """
    with Follower(bootstrap, PROGRESS, back=RECENT) as follower:
        found = _reports(follower.past())
    if expected - found.keys():
        found = _reports(read_all(bootstrap, PROGRESS)) | found
    return found


def _reports(rows: Iterable[TopicRecord]) -> dict[str, tuple[Progress, int]]:
    found: dict[str, tuple[Progress, int]] = {}
    for row in rows:
        if (progress := progress_of(row.value)) and progress.worker:
            found[progress.task] = progress, row.timestamp_ms
    return found


def _task(name: str, report: tuple[Progress, int] | None, end: int, now_s: float) -> TaskState:
    if report is None:
        return TaskState(name, end=end)
    progress, at_ms = report
    reported_s = max(0.0, now_s - at_ms / 1000)
    return TaskState(
        name, progress.worker, reported_s > SILENT_S, progress.applied, progress.stored, end,
        max(0, end - progress.applied), reported_s, dead_letters=progress.dead_letters,
        latency_p50_ms=_known(progress.latency_p50_ms), latency_p99_ms=_known(progress.latency_p99_ms),
    )  # fmt: skip


def _known(value: float) -> float | None:
    return None if value < 0 else value


def _ask(address: str, tasks: list[TaskState], now_s: float) -> ProcessState:
    """Return what a process says of itself, and add what it says of its tasks to them."""
    own = [task for task in tasks if task.process == address]
    state = ProcessState(address, len(own))
    try:
        text = exposition_of(address)
    except CommandError as error:
        state.trouble = str(error)
        return state
    by_name = {task.task.removeprefix(REPORTED): task for task in own}
    for name, labels, value in _samples(text):
        task = by_name.get(labels.get("task", ""))
        if name == "alsobought_build_info":
            state.role, state.version = labels["role"], labels["version"]
        elif name == "alsobought_ready":
            state.ready = value == 1
        elif name == "alsobought_rebalances_total":
            state.rebalances = int(value)
        elif name == "process_resident_memory_bytes":
            state.memory_bytes = int(value)
        elif name == "alsobought_memory_bytes":
            state.memory_parts[labels["part"]] = int(value)
        elif task is not None and name == "alsobought_saved_timestamp_seconds":
            task.saved_s = max(0.0, now_s - value)
        elif task is not None and name == "alsobought_checkpoint_timestamp_seconds":
            task.checkpoint_s = max(0.0, now_s - value)
        elif task is not None and name == "alsobought_store_bytes":
            task.store_bytes = int(value)
    return state


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        yield from ((one.name, one.labels, one.value) for one in family.samples)
