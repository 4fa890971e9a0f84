"""`drain`: wait until all is counted and listed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from alsobought import draining
from alsobought.options import DataDir, Json, Kafka, find_kafka


def drain(
    timeout: Annotated[float, typer.Option(min=0.1, help="Give up after so many seconds.")] = 600,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Wait until everything published is counted and every list is up to date with the counts."""
    bootstrap = find_kafka(kafka, data_dir)
    console = Console(stderr=True, highlight=False)
    with console.status("draining ...") as status:
        done = draining.drain(bootstrap, timeout, lambda left: status.update(f"waiting: {left}"))
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        typer.echo(
            f"drained in {done.seconds:.1f} s: {done.purchases:,} purchases, {done.items:,} catalogue entries"
        )
