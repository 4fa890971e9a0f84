"""Ask the workers: find the one that holds a partition, and get its answer over HTTP."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from alsobought.options import CommandError, settings_of
from streams.connections.bootstrap import Bootstrap
from streams.doors.calling import Answer, call_now
from streams.doors.errors import CallError
from streams.doors.policy import Doors
from streams.kafka.follower import Follower, partitions_of
from streams.messages.partitioning import partition_for
from streams.messages.schema import Progress, progress_of
from streams.topics import PROGRESS, TopicSpec, topic_of

RECENT = 1_000
"""Records at the end of a partition of `progress`: many seconds of all its tasks."""

HEARD_S = 5.0  # a worker reports every second
SILENCE_S = 20.0  # Kafka gives a dead worker 10 s before another gets its partitions
ANSWER_S = 20.0
CHECKPOINT_S = 3_600.0
MOST_ANSWERED = 1 << 30
"""Bytes of a history: of a customer with a million items there are some hundred million."""
NOT_ALLOWED = (401, 403, 421, 429)
"""Statuses of what is refused to this command, whatever it asks for."""
METRICS_S = 5.0


def call(
    timeout_s: float, method: str, address: str, *path: str, query: str = "", body: bytes | None = None
) -> Answer:
    """Call a worker or a recommender, with the token of the settings.

    Raises
    ------
    CommandError
        It refuses to be asked by this command.
    CallError
        It is not reached, or may not be called.
    """
    caller = Doors.of(settings_of()).caller(timeout_s, MOST_ANSWERED)
    answer = call_now(caller, method, address, *path, query=query, body=body)
    if answer.status in NOT_ALLOWED:
        raise CommandError(f"the process at {address} refuses: {answer.body.decode(errors='replace')}")
    return answer


class WorkerRefused(CommandError):
    """The worker cannot do what it was asked; the message is the worker's."""


class NotHeld(CommandError):
    """The worker has nothing under this id."""


def newest_progress(bootstrap: Bootstrap) -> dict[str, Progress]:
    """Return the newest progress of every task that has reported of late."""
    with Follower(bootstrap, PROGRESS, back=RECENT) as follower:
        found = [progress_of(row.value) for row in follower.past()]
    return {progress.task: progress for progress in found if progress}


def heard_now(bootstrap: Bootstrap, counted: Sequence[TopicSpec]) -> tuple[dict[str, Progress], list[str]]:
    """Return what live workers report from now on, by task, and the tasks that none reports.

    `counted` are the topics whose partitions are tasks.
    """
    silent = {
        f"{spec.name}-{partition}" for spec in counted for partition in range(partitions_of(bootstrap, spec))
    }
    counting, heard = set(silent), dict[str, Progress]()
    with Follower(bootstrap, PROGRESS) as follower:
        deadline = time.monotonic() + HEARD_S
        while silent - heard.keys() and time.monotonic() < deadline:
            for row in follower.poll():
                if (progress := progress_of(row.value)) and progress.task in counting:
                    heard[progress.task] = progress
    return heard, sorted(silent - heard.keys())


def take_checkpoints(worker: str) -> list[dict[str, Any]]:
    """Make the worker at an address take checkpoints of all of its tasks; return its description of each.

    Raises
    ------
    WorkerRefused
        It has no URL, cannot write there, or does not answer.
    CommandError
        It wants another token.
    """
    try:
        answer = call(CHECKPOINT_S, "POST", worker, "checkpoints")
    except CallError as error:
        raise WorkerRefused(f"the worker at {worker} does not answer ({error}): see its log.") from error
    if answer.status != 200:
        raise WorkerRefused(f"the worker at {worker}: {answer.body.decode(errors='replace')}")
    try:
        taken: list[dict[str, Any]] = json.loads(answer.body)
    except ValueError as error:
        raise WorkerRefused(f"what answers at {worker} is no worker: {error}") from error
    return taken


def exposition_of(worker: str) -> str:
    """Return the metrics of a worker or a recommender, as Prometheus reads them.

    Raises
    ------
    CommandError
        It does not answer.
    """
    try:
        answer = call(METRICS_S, "GET", worker, "metrics")
        if answer.status == 200:
            return answer.body.decode()
    except (CallError, UnicodeDecodeError) as error:
        raise CommandError(f"the process at {worker} does not answer ({error}): see its log.") from error
    raise CommandError(f"the process at {worker} answers {answer.status}: see its log.")


def ask_owner(
    bootstrap: Bootstrap, spec: TopicSpec, key: str, path: str, query: Mapping[str, str | int] | None = None
) -> Any:
    """Return what the worker that holds `key`'s partition of a topic answers to GET path/key?query.

    Raises
    ------
    NotHeld
        It has no such item.
    CommandError
        No worker holds the partition, or it does not answer.
    """
    partition = partition_for(key.encode(), partitions_of(bootstrap, spec))
    return _ask(bootstrap, [f"{spec.name}-{partition}"], key, path, query)


def ask_all(
    bootstrap: Bootstrap, spec: TopicSpec, key: str, path: str, query: Mapping[str, str | int] | None = None
) -> Any:
    """Return the answer of the worker that has `key`, whichever partition of the topic it is in.

    The worker of the key's own partition is asked first; a producer with another partitioner may have put it
    elsewhere.

    Raises
    ------
    NotHeld
        No worker has such a customer.
    CommandError
        None of those that answer has it, and not all partitions are held by a worker that answers.
    """
    partitions = partitions_of(bootstrap, spec)
    own = partition_for(key.encode(), partitions)
    order = sorted(range(partitions), key=lambda partition: partition != own)
    return _ask(bootstrap, [f"{spec.name}-{partition}" for partition in order], key, path, query)


def _ask(
    bootstrap: Bootstrap, tasks: Sequence[str], key: str, path: str, query: Mapping[str, str | int] | None
) -> Any:
    """Return the first answer of the workers that hold these tasks, asked in this order and each once."""
    deadline = time.monotonic() + SILENCE_S
    asked = urllib.parse.urlencode(query or {})
    while True:
        found, mentioned, trouble = newest_progress(bootstrap), set(), ""
        for task in tasks:
            progress = found.get(task)
            if progress is None:
                trouble = trouble or f"no worker has reported to hold {task}"
                continue
            if progress.worker in mentioned:
                continue
            mentioned.add(progress.worker)
            try:
                answer = call(ANSWER_S, "GET", progress.worker, path, key, query=asked)
                if answer.status == 200:
                    return json.loads(answer.body)
                if answer.status != 404:
                    trouble = trouble or f"the worker at {progress.worker} answered {answer.status}"
            except (CallError, ValueError) as error:
                trouble = trouble or (
                    f"the worker that held {task}, at {progress.worker}, does not answer ({error})"
                )
        if not trouble:
            where = tasks[0] if len(tasks) == 1 else f"{topic_of(tasks[0])}, in any partition,"
            raise NotHeld(f"{where} has nothing about {key!r}: not counted yet, or no such id.")
        if time.monotonic() > deadline:
            raise CommandError(
                f"{trouble}. Start one with `alsobought up` or `alsobought worker`; see its log."
            )
        time.sleep(0.2)  # it may just be starting
