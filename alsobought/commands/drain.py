"""`drain`: wait until all is counted, listed and recommended."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from alsobought import draining
from alsobought.options import DataDir, Json, Kafka, bootstrap_of, settings_of
from alsobought.refused import refused
from streams.kinds import listed_of


def drain(
    timeout: Annotated[float, typer.Option(min=0.1, help="Give up after so many seconds.")] = 600,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Wait until everything published is counted, and lists, recommendations and bestsellers follow from it.

    It needs a worker and a recommender. Records that the workers refused are not counted; the command ends
    with how many they are, and since when.
    """
    settings = settings_of(kafka, data_dir)
    bootstrap = bootstrap_of(settings)
    console = Console(stderr=True, highlight=False)
    with console.status("draining ...") as status:
        done = draining.drain(
            bootstrap, listed_of(settings), timeout, lambda left: status.update(f"waiting: {left}")
        )
    left_out = refused(bootstrap)
    if as_json:
        counted = {**done.records, "seconds": done.seconds, "refused": left_out.count if left_out else 0}
        typer.echo(json.dumps(counted | ({"refused_since_ms": left_out.since_ms} if left_out else {})))
    else:
        counts = ", ".join(f"{count:,} {topic}" for topic, count in done.records.items())
        typer.echo(f"drained in {done.seconds:.1f} s: {counts}")
        if left_out is not None:
            typer.echo(str(left_out))
