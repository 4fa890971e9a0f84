"""`rebuild`: discard all state and recount the events that Kafka still has."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from rich.console import Console

from alsobought import rebuilding
from alsobought.bars import progress_bar
from alsobought.options import CheckpointUrl, DataDir, Kafka, bootstrap_of, settings_of
from alsobought.restoring import refuse_local_workers
from alsobought.saying import say
from streams.kafka.follower import positions
from streams.kinds import kinds_of


def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: CheckpointUrl = None,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Discard all state and recount the events that Kafka still has.

    Use it if the log does not reach back to what the state needs and no checkpoint does, or if the topics
    were deleted and created again. Stop all workers first, on every host. The command deletes the stores in
    the data directory, all checkpoints at the URL and all published lists, and records in the topic progress
    where counting begins. Workers that are started afterwards count every event that Kafka still has, and
    publish the lists again. Workers on other hosts ignore the stores that they have of these topics. They
    refuse stores of topics that were deleted since, so run the command on these hosts as well before starting
    any worker.

    For a local stack: stop it, run `alsobought broker run`, rebuild, stop that, and start `alsobought up`.
    """
    settings = settings_of(kafka, data_dir, url)
    refuse_local_workers(settings)
    bootstrap = bootstrap_of(settings)
    left = ", ".join(
        f"{sum(end - start for start, end in positions(bootstrap, kind.events).values()):,} records of"
        f" {kind.events.name}"
        for kind in kinds_of(settings)
    )
    stores = rebuilding.stored_tasks(settings)
    say(
        f"this discards {len(stores)} stores in {settings.data_dir / 'state'},"
        f" {f'all checkpoints at {settings.checkpoint_url}' if settings.checkpoint_url else 'no checkpoints'}"
        f" and all published lists; Kafka at {bootstrap} still has {left}"
    )
    if not yes:
        typer.confirm("Continue?", abort=True, err=True)
    with Console(stderr=True, highlight=False).status("waiting until no worker is heard of ..."):
        rebuilding.refuse_workers(settings, bootstrap)
    with contextlib.ExitStack() as bars:
        done = rebuilding.rebuild(
            settings, bootstrap, lambda total: bars.enter_context(progress_bar("lists read", total))
        )
    typer.echo(
        f"discarded {done.stores} stores, {done.checkpoints} checkpoints and {done.lists:,} lists."
        f" Start the workers: they count {left}."
    )
