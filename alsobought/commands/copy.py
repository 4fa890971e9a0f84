"""`copy`: the events and the catalogue of one deployment to another."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from alsobought.bars import progress_bar
from alsobought.deployments.copying import Copying
from alsobought.deployments.other import other, this
from alsobought.options import DataDir, Json, Kafka, bootstrap_of, settings_of
from streams.kinds import kinds_of
from streams.topics import ITEMS


def copy(
    to_prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="The other deployment's ALSOBOUGHT_TOPIC_PREFIX.")
    ] = None,
    to_kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The other deployment's Kafka; else the same.")
    ] = None,
    to_settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of the other deployment's settings.")
    ] = None,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Copy the catalogue and all events to another deployment, up to what there is now.

    Its topics must exist, with as many partitions or a multiple, and nobody else may write to them. Run it
    again to copy what has come since, or if it was interrupted: no record is copied twice.
    """
    settings = settings_of(kafka, data_dir)
    source = this(settings, bootstrap_of(settings))
    target = other(
        settings, source, kafka=to_kafka, prefix=to_prefix, file=to_settings, option="--to"
    )  # fmt: skip
    # the catalogue first, so that titles and hidden items are known before the events
    planned = [Copying(source, target, spec) for spec in (ITEMS, *(k.events for k in kinds_of(settings)))]
    counts = {}
    with progress_bar("records read", sum(one.records for one in planned)) as show:
        done = 0
        for one in planned:
            counts[one.copy.name] = one.run(partial(_shown, show, done, one.original.name))
            done += one.records
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        typer.echo(f"copied {', '.join(f'{count:,} to {name}' for name, count in counts.items())}")


def _shown(show: Callable[[int, str], None], before: int, topic: str, count: int) -> None:
    show(before + count, topic)
