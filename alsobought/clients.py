"""Questions to the workers: which one holds a partition, and what it answers over HTTP."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from alsobought.options import CommandError
from streams.messages import Progress, decode_progress
from streams.partitioning import partition_for
from streams.topics import PROGRESS, TopicSpec
from streams.views import Follower, partitions_of

RECENT = 1_000
"""Records at the end of a partition of `progress`: many seconds of all its tasks."""

HEARD_S = 5.0  # a worker reports every second
SILENCE_S = 20.0  # Kafka gives a dead worker 10 s before another gets its partitions
ANSWER_S = 20.0
CHECKPOINT_S = 3_600.0

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # workers are not behind a proxy


class WorkerRefused(CommandError):
    """The worker cannot do what it was asked; the message is its own."""


class NotHeld(CommandError):
    """The worker has nothing under this id."""


def newest_progress(bootstrap: str) -> dict[str, Progress]:
    """Return the newest progress of every task that has reported of late."""
    with Follower(bootstrap, PROGRESS, back=RECENT) as follower:
        found = [decode_progress(row.value) for row in follower.past() if row.value]
    return {progress.task: progress for progress in found}


def heard_now(bootstrap: str, counted: Sequence[TopicSpec]) -> tuple[dict[str, Progress], list[str]]:
    """Return what workers that are alive report from now on, by task; and the tasks that none reports.

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
                if row.value and (progress := decode_progress(row.value)).task in counting:
                    heard[progress.task] = progress
    return heard, sorted(silent - heard.keys())


def take_checkpoints(worker: str) -> list[dict[str, Any]]:
    """Have the worker at an address take checkpoints of all of its tasks; what it says of each.

    Raises
    ------
    WorkerRefused
        It has no URL, cannot write there, or does not answer.
    """
    request = urllib.request.Request(f"{worker}/checkpoints", method="POST")
    try:
        with _opener.open(request, timeout=CHECKPOINT_S) as answer:
            taken: list[dict[str, Any]] = json.load(answer)
            return taken
    except urllib.error.HTTPError as error:
        raise WorkerRefused(f"the worker at {worker}: {error.read().decode()}") from error
    except (OSError, http.client.HTTPException) as error:
        raise WorkerRefused(f"the worker at {worker} does not answer ({error}): see its log.") from error


def ask_owner(
    bootstrap: str, spec: TopicSpec, key: str, path: str, query: Mapping[str, str | int] | None = None
) -> Any:
    """Return what the worker that holds `key`'s partition of a topic answers to GET path/key?query.

    Raises
    ------
    NotHeld
        It has no such item or customer.
    CommandError
        No worker holds the partition, or it does not answer.
    """
    task = f"{spec.name}-{partition_for(key.encode(), partitions_of(bootstrap, spec))}"
    deadline = time.monotonic() + SILENCE_S
    while True:
        progress = newest_progress(bootstrap).get(task)
        try:
            if progress is not None:
                asked = urllib.parse.urlencode(query or {})
                return _get(f"{progress.worker}/{path}/{urllib.parse.quote(key, safe='')}?{asked}")
            trouble = f"no worker has reported to hold {task}"
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise NotHeld(f"{task} has nothing about {key!r}: not counted yet, or no such id.") from error
            trouble = f"the worker at {error.url} answered {error.code}"
        except (OSError, http.client.HTTPException) as error:
            assert progress is not None
            trouble = f"the worker that held {task}, at {progress.worker}, does not answer ({error})"
        if time.monotonic() > deadline:
            raise CommandError(
                f"{trouble}. Start one with `alsobought up` or `alsobought worker`; see its log."
            )
        time.sleep(0.2)  # it may just be starting


def _get(url: str) -> Any:
    with _opener.open(url, timeout=ANSWER_S) as answer:
        return json.load(answer)
