"""Restore checkpoints to stores on this host, by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alsobought.local.stack import Say
from alsobought.options import CommandError, known_kafka
from alsobought.place import Place
from state.storage.files import is_held
from streams.broker.errors import KafkaUnreachable
from streams.kafka.log_identity import log_identity
from streams.kinds import listed_of
from streams.settings import Settings
from streams.stores.checkpoints import Checkpoint, Checkpoints
from streams.stores.checkpoints.store import OnFile
from streams.stores.folder import StoreFolder
from streams.topics import topic_of


def refuse_local_workers(settings: Settings) -> None:
    """Raise CommandError if a local stack in the data directory has workers."""
    place = Place(settings.data_dir)
    if place.has_workers():
        raise CommandError(
            f"a local stack (pid {place.read().get('pid')}) has workers in {settings.data_dir}: stop it"
            " first. Where Kafka is needed meanwhile, `alsobought broker run` runs it without workers."
        )


def refuse_held(settings: Settings, task: str) -> None:
    """Raise CommandError if a process has the task's store open."""
    folder = StoreFolder(settings.data_dir / "state" / task).newest()
    if folder is not None and is_held(folder):
        raise CommandError(f"a worker has {folder} open: stop it first.")


def to_restore(settings: Settings, checkpoints: Checkpoints, task: str | None) -> list[str]:
    """Return the tasks to restore, none of whose stores is in use.

    Raises
    ------
    CommandError
    """
    refuse_local_workers(settings)
    tasks = checkpoints.tasks()
    if not tasks or (task is not None and task not in tasks):
        there = f" of {task}, but of {', '.join(tasks)}" if tasks else ""
        raise CommandError(f"there are no checkpoints{there} at {checkpoints.url}.")
    chosen = tasks if task is None else [task]
    for name in chosen:
        refuse_held(settings, name)
    return chosen


def identity_of(settings: Settings, say: Say) -> Callable[[str], str]:
    """Return a function from a task to the identity of its topics; it is empty, with a message, without
    Kafka.
    """
    bootstrap = known_kafka(settings)
    try:
        if bootstrap is not None:
            identity = log_identity(bootstrap, listed_of(settings))
            return lambda task: identity.of(topic_of(task))
        trouble = "no Kafka is known (--kafka)"
    except KafkaUnreachable:
        trouble = f"no Kafka answers at {bootstrap}"
    say(f"{trouble}: whether the checkpoints are of its topics is checked when a worker opens them")
    return lambda _task: ""


def restore_task(
    settings: Settings,
    checkpoints: Checkpoints,
    task: str,
    identity: str,
    number: int | None,
    on_file: OnFile,
) -> tuple[Checkpoint, Path] | None:
    """Make a checkpoint the next generation of a task's store.

    Return the checkpoint and its folder, or None if none can be used.

    Raises
    ------
    CheckpointError
    """
    folder = StoreFolder(settings.data_dir / "state" / task).next_generation()
    folder.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoints.restore(task, folder, identity=identity, number=number, on_file=on_file)
    return None if checkpoint is None else (checkpoint, folder)
