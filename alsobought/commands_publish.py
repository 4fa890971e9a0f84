"""`publish`: files to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer

from alsobought.bars import told
from alsobought.options import DataDir, Kafka, find_kafka
from alsobought.sources import Source, open_items, open_purchases
from alsobought.sources.complete_journey import NAME as BUNDLED
from streams.publishing import PublishReport, Record, publish
from streams.topics import ITEMS, PURCHASES, TopicSpec

File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="CSV, JSON lines (also .gz, .xz) or Parquet; - for standard input; complete-journey for a"
        " year of groceries that comes with the installation.",
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Publish only the first so many.")]
Rate = Annotated[float | None, typer.Option(min=0.01, help="At most so many a second.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out rows that cannot be used.")]


def purchases(
    file: File,
    limit: Limit = None,
    rate: Rate = None,
    skip_bad: SkipBad = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish purchases: columns customer_id, item_id, timestamp, optionally quantity, event_id and others.

    Without --skip-bad a file is checked first, and nothing is published when a row of it cannot be used.
    """
    _publish(find_kafka(kafka, data_dir), PURCHASES, open_purchases(file), limit, rate, skip_bad)


def items(
    file: File,
    limit: Limit = None,
    skip_bad: SkipBad = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish the catalogue: columns item_id, and optionally title, category, brand, price and available."""
    _publish(find_kafka(kafka, data_dir), ITEMS, open_items(file), limit, None, skip_bad)


def _publish(
    bootstrap: str,
    spec: TopicSpec,
    source: Source[Any],
    limit: int | None,
    rate: float | None,
    skip_bad: bool,
) -> None:
    if not skip_bad and source.repeatable and source.name != BUNDLED:
        source.check()
    with told("published", limit) as on_progress:
        report = run(bootstrap, spec, first(source.records(skip_bad=skip_bad), limit), rate, on_progress)
    if source.bad.count:
        typer.echo(f"left out {source.bad.count:,} rows:\n{source.bad}", err=True)
    per_s = report.records / max(report.seconds, 1e-9)
    typer.echo(f"{report.records:,} records in {report.seconds:.2f} s: {per_s:,.0f} records/s")


def run(
    bootstrap: str,
    spec: TopicSpec,
    batches: Iterable[Sequence[Record]],
    rate: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> PublishReport:
    """Publish from a program that is not asynchronous. Raises as `publish` does."""
    return asyncio.run(publish(bootstrap, spec.name, batches, rate=rate, on_progress=on_progress))


def first(batches: Iterable[Sequence[Record]], limit: int | None) -> Iterator[Sequence[Record]]:
    """Yield at most `limit` records, in their batches."""
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch[:left]
        left -= len(batch)
        if left <= 0:
            return
