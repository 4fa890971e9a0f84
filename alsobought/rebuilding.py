"""Discard all state and recount the events that Kafka still has.

What is counted afterwards is exactly the records that items and the topics of events have when the workers
start. For every kind of events:

- Customer and catalogue machines begin, empty, at the first offsets of their topics.
- Item machines begin, empty, at the present ends of their deltas. Earlier deltas were counted from records
  that may be gone, and number items differently than the new customer machines, whose deltas all come after
  them.
- An item machine that begins empty assumes that an item without a list in it has none in the topic, so all
  lists are deleted; those that are counted come back.
- The beginnings are in the identity of state (streams/kafka/log_identity.py), so that a store or checkpoint
  from before the rebuild, such as on another host, is never continued.

A rebuild that is interrupted leaves something correct or refused at every step, and may be repeated. The ends
of the deltas are written before the other beginnings, because item machines that begin there count the same
with customer machines that still begin where they did.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alsobought.options import CommandError
from alsobought.restoring import refuse_held, refuse_local_workers
from streams.broker.topics_admin import group_members, list_topics
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower, ends, positions, read_all, send
from streams.kafka.log_identity import beginning
from streams.kinds import WATCHED_BOUGHT, EventKind, Kind, counted_of, listed_of
from streams.messages.schema import REPORTED, encode, progress_of
from streams.settings import Settings
from streams.stores.checkpoints import Checkpoints
from streams.stores.folder import RECOMMENDER_FOLDER
from streams.topics import ITEMS, PROGRESS, TopicSpec, is_task

LISTEN_S = 3.0
"""Workers report every second."""

MARGIN_S = 5.0

OnProgress = Callable[[int], None]


@dataclass(frozen=True)
class Rebuilt:
    """What was discarded."""

    stores: int
    checkpoints: int
    lists: int


def refuse_workers(settings: Settings, bootstrap: Bootstrap) -> None:
    """Return when no worker runs; wait for one that was killed until the group has forgotten it.

    Raises
    ------
    CommandError
        A worker runs.
    """
    refuse_local_workers(settings)
    begin = time.monotonic()
    patience_s = settings.session_ms / 1000 + MARGIN_S
    with Follower(bootstrap, PROGRESS) as follower:
        while True:
            for row in follower.poll():
                if (progress := progress_of(row.value)) and progress.worker:
                    role = "recommender" if progress.task.startswith(REPORTED) else "worker"
                    raise CommandError(
                        f"the {role} at {progress.worker} is running ({progress.task}): stop all workers and"
                        " recommenders first."
                    )
            members = _members(bootstrap, settings)
            waited_s = time.monotonic() - begin
            if not members and waited_s > LISTEN_S:
                return
            if waited_s > patience_s:
                raise CommandError(
                    f"the group {settings.worker_group} still has members: {', '.join(members)}. Stop all"
                    " workers and recommenders first; one that was killed is forgotten in"
                    " ALSOBOUGHT_SESSION_MS."
                )


def _members(bootstrap: Bootstrap, settings: Settings) -> list[str]:
    """Return the workers and recommenders that Kafka knows of."""
    groups = settings.worker_group, settings.recommender_group
    return [member for group in groups for member in group_members(bootstrap, group)]


def stored_tasks(settings: Settings) -> list[str]:
    """Return the tasks that have a store under the data directory."""
    return _tasks_in(settings.data_dir / "state", settings)


def _tasks_in(folder: Path, settings: Settings) -> list[str]:
    """Return the tasks of this deployment that have a store in a folder."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in names if is_task(name, counted_of(settings)))


def rebuild(settings: Settings, bootstrap: Bootstrap, on_lists: Callable[[int], OnProgress]) -> Rebuilt:
    """Discard all state and set where counting begins. Call `refuse_workers` before.

    Parameters
    ----------
    on_lists
        Called with the number of offsets of lists to read; returns a function to call with the number of
        those read.

    Raises
    ------
    CommandError
        A store is in use, or a worker was started meanwhile.
    CheckpointError
        The checkpoints cannot be deleted.
    """
    tasks = stored_tasks(settings)
    for task in tasks:
        refuse_held(settings, task)
    kinds = _kinds_there(settings, bootstrap)
    internal = [spec for kind in kinds for spec in kind.internal]
    events = [kind.events for kind in kinds if kind.events not in internal]
    begins = {spec: positions(bootstrap, spec) for spec in (*events, ITEMS)}
    internal_ends = {spec: ends(bootstrap, spec) for spec in internal}
    for task in tasks:
        shutil.rmtree(settings.data_dir / "state" / task)
    # what recommenders keep follows from the same events
    for task in _tasks_in(settings.data_dir / RECOMMENDER_FOLDER, settings):
        shutil.rmtree(settings.data_dir / RECOMMENDER_FOLDER / task, ignore_errors=True)
    checkpoints = _delete_checkpoints(settings)
    lists = _delete_lists(bootstrap, kinds, on_lists)
    for spec, offsets in internal_ends.items():
        _begin_at(bootstrap, spec, offsets)
    for spec, where in begins.items():
        _begin_at(bootstrap, spec, {partition: start for partition, (start, _) in where.items()})
    _refuse_change(settings, bootstrap, internal_ends)
    return Rebuilt(len(tasks), checkpoints, lists)


def _kinds_there(settings: Settings, bootstrap: Bootstrap) -> tuple[Kind, ...]:
    """Return the kinds of the settings, and one that is switched off, whose records must not count later."""
    kinds = listed_of(settings)
    if WATCHED_BOUGHT in kinds or not list_topics(bootstrap, WATCHED_BOUGHT.topics):
        return kinds
    return (*kinds, WATCHED_BOUGHT)


def _delete_checkpoints(settings: Settings) -> int:
    if settings.checkpoint_url is None:
        return 0
    checkpoints = Checkpoints(settings.checkpoint_url, settings.checkpoints_kept, counted_of(settings))
    count = len(checkpoints.known())
    checkpoints.delete_all()
    return count


def _delete_lists(bootstrap: Bootstrap, kinds: Sequence[Kind], on_lists: Callable[[int], OnProgress]) -> int:
    """Write a tombstone for every list, and for every item's popularity; return how many lists there were."""
    specs = [spec for kind in kinds for spec in (kind.lists, *_popularity_of(kind))]
    where = {spec: positions(bootstrap, spec) for spec in specs}
    on_progress = on_lists(sum(end - start for some in where.values() for start, end in some.values()))
    deleted, before = 0, 0
    for spec, some in where.items():
        read = dict.fromkeys(some, 0)
        lists: set[tuple[int, bytes]] = set()
        for row in read_all(bootstrap, spec, {partition: end for partition, (_, end) in some.items()}):
            if row.key is not None:
                (lists.discard if row.value is None else lists.add)((row.partition, row.key))
            read[row.partition] = row.offset + 1 - some[row.partition][0]
            on_progress(before + sum(read.values()))
        send(bootstrap, spec, ((partition, key, None) for partition, key in sorted(lists)))
        deleted += len(lists) if any(spec == kind.lists for kind in kinds) else 0
        before += sum(read.values())
    return deleted


def _popularity_of(kind: Kind) -> list[TopicSpec]:
    return [kind.popularity] if isinstance(kind, EventKind) else []


def _begin_at(bootstrap: Bootstrap, spec: TopicSpec, offsets: dict[int, int]) -> None:
    records = [beginning(spec.name, partition, offset) for partition, offset in offsets.items()]
    send(bootstrap, PROGRESS, [(None, record.task.encode(), encode(record)) for record in records])


def _refuse_change(
    settings: Settings, bootstrap: Bootstrap, internal_ends: dict[TopicSpec, dict[int, int]]
) -> None:
    """Raise CommandError if a worker may have begun at other places than those that are written now."""
    members = _members(bootstrap, settings)
    if members or any(ends(bootstrap, spec) != offsets for spec, offsets in internal_ends.items()):
        raise CommandError(
            f"a worker was started meanwhile ({', '.join(members) or 'it wrote deltas'}): stop all"
            " workers, and run `alsobought rebuild` again."
        )
