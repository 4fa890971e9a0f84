"""`checkpoint`: take, list, verify and restore copies of the workers' state."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Annotated, Any

import typer
from rich.console import Console

from alsobought.bars import progress_bar
from alsobought.clients import WorkerRefused, heard_now, take_checkpoints
from alsobought.options import CheckpointUrl, CommandError, DataDir, Json, Kafka, bootstrap_of, settings_of
from alsobought.restoring import identity_of, restore_task, to_restore
from alsobought.saying import say
from alsobought.tables import print_table, time_of
from streams.kinds import counted_of
from streams.settings import Settings
from streams.stores.checkpoints import Checkpoint, Checkpoints, NoCheckpoints
from streams.stores.checkpoints.manifest import StoredFile

ASKED_AT_ONCE = 16
MIB = 1 << 20

TaskOption = Annotated[
    str | None, typer.Argument(metavar="TASK", help="Such as purchases-3; without it all of them.")
]


def now(kafka: Kafka = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Make every worker take a checkpoint of all of its tasks now.

    Checkpoints are written to the workers' ALSOBOUGHT_CHECKPOINT_URL. They have what is stored by now; a
    restart from one replays from the offset that is shown. Files that are there already are not copied again.
    """
    settings = settings_of(kafka, data_dir)
    heard, silent = heard_now(bootstrap_of(settings), counted_of(settings))
    workers = sorted({progress.worker for progress in heard.values()})
    if not workers:
        raise CommandError(
            "no worker is running: start one with `alsobought up` or `alsobought worker`, and"
            " ALSOBOUGHT_CHECKPOINT_URL set."
        )
    taken, troubles = _ask(workers, len(heard))
    if not taken:
        raise CommandError("; ".join(troubles))
    if as_json:
        typer.echo(json.dumps(taken))
    else:
        columns = ["task", "number", "offset", "files copied", "bytes copied", "seconds"]
        fields = ["task", "number", "position", "uploaded_files", "uploaded_bytes", "seconds"]
        print_table(columns, [[one[name] for name in fields] for one in taken])
    if silent:
        troubles.append(f"no worker holds {', '.join(silent)}")
    if troubles:
        raise CommandError("; ".join(troubles))


def _ask(workers: list[str], tasks: int) -> tuple[list[dict[str, Any]], list[str]]:
    taken: list[dict[str, Any]] = []
    troubles: list[str] = []
    with progress_bar("checkpoints taken", tasks) as on_progress, ThreadPoolExecutor(ASKED_AT_ONCE) as asking:
        for answer in as_completed([asking.submit(take_checkpoints, worker) for worker in workers]):
            try:
                taken += answer.result()
            except WorkerRefused as error:
                troubles.append(str(error))
            on_progress(len(taken))
    return sorted(taken, key=lambda one: str(one["task"])), troubles


def list_(url: CheckpointUrl = None, as_json: Json = False) -> None:
    """List the checkpoints of each task, newest first, and what is wrong with unusable ones."""
    checkpoints = _checkpoints(settings_of(checkpoint_url=url))
    known = checkpoints.known()
    if as_json:
        typer.echo(json.dumps([_described(one) for one in known]))
    elif not known:
        typer.echo(f"no checkpoints at {checkpoints.url}")
    else:
        print_table(
            ["task", "number", "taken at (UTC)", "offset", "files", "MiB", "problem"],
            [
                [c.task, c.number, time_of(c.created_ms), c.position, len(c.files), c.bytes / MIB, ""]
                if not c.problem
                else [c.task, c.number, "", "", "", "", c.problem]
                for c in known
            ],
        )


def verify(task: TaskOption = None, url: CheckpointUrl = None, as_json: Json = False) -> None:
    """Read every file of every checkpoint and compare its checksum; the status is 1 if anything is wrong."""
    checkpoints = _checkpoints(settings_of(checkpoint_url=url))
    known = checkpoints.known(task)
    if not known:
        raise CommandError(f"there is no checkpoint{f' of {task}' if task else ''} at {checkpoints.url}.")
    done = 0
    problems: list[tuple[Checkpoint, str]] = []
    with progress_bar("verified", sum(c.bytes for c in known), in_bytes=True) as on_progress:

        def read(file: StoredFile) -> None:
            nonlocal done
            done += file.bytes
            on_progress(done)

        for checkpoint in known:
            problem = checkpoints.verify(checkpoint, read)
            if problem and all(c.name != checkpoint.name for c in checkpoints.known(checkpoint.task)):
                continue  # a worker has forgotten it meanwhile, having taken newer ones
            problems.append((checkpoint, problem))
    if as_json:
        typer.echo(json.dumps([_described(c) | {"problem": problem} for c, problem in problems]))
    else:
        for c, problem in problems:
            typer.echo(f"{c.task} {c.number}: {problem or 'ok'}")
    if bad := sum(bool(problem) for _, problem in problems):
        raise CommandError(
            f"{bad} of {len(problems)} checkpoints cannot be used; a restore passes them over. Take new ones"
            " with `alsobought checkpoint now`."
        )


def restore(
    task: TaskOption = None,
    number: Annotated[
        int | None, typer.Option(min=1, help="Of the task; without it the newest that is whole.")
    ] = None,
    url: CheckpointUrl = None,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Make checkpoints the stores on this host; no worker may be running on them.

    A worker with an empty disk does so by itself. Use this command to go back, or to look into a checkpoint.
    Each restored store is a new generation: the folder DATA_DIR/state/TASK/N with the highest N is the store.
    What was there before stays beside it until a worker opens the task, which removes it; to undo a restore,
    remove the new folder before that. The worker replays the log from the checkpoint's offset on. It uses a
    newer checkpoint instead if it finds one that is far ahead.
    """
    settings = settings_of(kafka, data_dir, url)
    checkpoints = _checkpoints(settings)
    if number is not None and task is None:
        raise CommandError("--number is of one task's checkpoints: name the TASK, too.")
    tasks = to_restore(settings, checkpoints, task)
    identity = identity_of(settings, say)
    missing = []
    for name in tasks:
        with Console(stderr=True, highlight=False).status(f"restoring {name} ...") as status:

            def copied(file: StoredFile, name: str = name, status: Any = status) -> None:
                status.update(f"restoring {name}: copied {file.name}, {file.bytes / MIB:,.1f} MiB")

            restored = restore_task(settings, checkpoints, name, identity(name), number, copied)
        if restored is None:
            missing.append(name)
        else:
            checkpoint, folder = restored
            typer.echo(f"{name}: checkpoint {checkpoint.number}, offset {checkpoint.position}, is {folder}")
    if missing:
        raise CommandError(
            f"{checkpoints.url} has no usable checkpoint of {', '.join(missing)}: see"
            " `alsobought checkpoint list` and `verify`. A worker replays the log for what has no store."
        )


def _checkpoints(settings: Settings) -> Checkpoints:
    if settings.checkpoint_url is None:
        raise NoCheckpoints()
    return Checkpoints(settings.checkpoint_url, settings.checkpoints_kept, counted_of(settings))


def _described(c: Checkpoint) -> dict[str, object]:
    return {
        "task": c.task, "number": c.number, "created_ms": c.created_ms, "position": c.position,
        "files": len(c.files), "bytes": c.bytes, "problem": c.problem,
    }  # fmt: skip
