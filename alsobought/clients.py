"""Questions to the workers: which one holds a partition, and what it answers over HTTP."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from alsobought.options import CommandError
from streams.messages import Progress, decode_progress
from streams.partitioning import partition_for
from streams.topics import PROGRESS, TopicSpec
from streams.views import Follower, partitions_of

RECENT = 1_000
"""Records at the end of a partition of `progress`: many seconds of all its tasks."""

SILENCE_S = 20.0  # Kafka gives a dead worker 10 s before another gets its partitions
ANSWER_S = 20.0

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # workers are not behind a proxy


class NotHeld(CommandError):
    """The worker has nothing under this id."""


def newest_progress(bootstrap: str) -> dict[str, Progress]:
    """Return the newest progress of every task that has reported of late."""
    with Follower(bootstrap, PROGRESS, back=RECENT) as follower:
        found = [decode_progress(row.value) for row in follower.past() if row.value]
    return {progress.task: progress for progress in found}


def ask_owner(bootstrap: str, spec: TopicSpec, key: str, path: str, query: str = "") -> Any:
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
                return _get(f"{progress.worker}/{path}/{urllib.parse.quote(key, safe='')}{query}")
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
