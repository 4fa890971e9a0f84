"""`publish` and `forget`: files to Kafka, and a customer out of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from alsobought.bars import told
from alsobought.options import CommandError, DataDir, Kafka, bootstrap_of, find_kind, settings_of
from alsobought.sources import Source, open_events, open_items
from alsobought.sources.complete_journey import NAME as BUNDLED
from alsobought.sources.values import BadValue, id_value
from streams.broker.topics_admin import require_topics
from streams.kinds import BOUGHT, WATCHED, kinds_of
from streams.messages import EventMessage, encode
from streams.publishing import PublishReport, Record, publish
from streams.topics import ITEMS, TopicSpec
from streams.views import partitions_of, send

FORMATS = "CSV, JSON lines (also .gz, .xz) or Parquet; - for standard input"
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help=f"{FORMATS}; complete-journey for a year of groceries that comes with the installation.",
    ),
]
OwnFile = Annotated[str, typer.Argument(metavar="FILE", help=f"{FORMATS}.")]
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
    _publish_events(BOUGHT.name, file, limit, rate, skip_bad, kafka, data_dir)


def watches(
    file: OwnFile,
    limit: Limit = None,
    rate: Rate = None,
    skip_bad: SkipBad = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish watches, or views, or listens: columns as of purchases; an event_type, if any, is watch.

    Without --skip-bad a file is checked first, and nothing is published when a row of it cannot be used.
    """
    _publish_events(WATCHED.name, file, limit, rate, skip_bad, kafka, data_dir)


def events(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="A type of ALSOBOUGHT_EVENT_TYPES, or bought or watched.")
    ],
    file: OwnFile,
    limit: Limit = None,
    rate: Rate = None,
    skip_bad: SkipBad = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish events of a further type that the settings name: columns as of purchases.

    Without --skip-bad a file is checked first, and nothing is published when a row of it cannot be used.
    """
    _publish_events(kind, file, limit, rate, skip_bad, kafka, data_dir)


def items(
    file: File,
    limit: Limit = None,
    skip_bad: SkipBad = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish the catalogue: columns item_id, and optionally title, category, brand, price and available."""
    bootstrap = bootstrap_of(settings_of(kafka, data_dir))
    _publish(bootstrap, ITEMS, open_items(file), limit, None, skip_bad)


def forget(
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer_id.")],
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Erase a customer from all counts: publish a forget on purchases, watches and every further type.

    It goes to every partition, for producers differ in which one they choose for a customer.

    What remains, and for how long, is in docs/guarantees.md.
    """
    settings = settings_of(kafka, data_dir)
    bootstrap = bootstrap_of(settings)
    try:
        customer_id = id_value("customer_id", customer_id)
    except BadValue as error:
        raise CommandError(f"{error}.") from error
    now_ms = time.time_ns() // 1_000_000
    value = encode(EventMessage(customer_id=customer_id, timestamp=now_ms, type="forget"))
    topics = [kind.events for kind in kinds_of(settings)]
    require_topics(bootstrap, topics)
    for spec in topics:
        partitions = range(partitions_of(bootstrap, spec))
        send(bootstrap, spec, [(partition, customer_id.encode(), value) for partition in partitions])
    typer.echo(f"published a forget of {customer_id} on {', '.join(spec.name for spec in topics)}")


def _publish_events(
    name: str,
    file: str,
    limit: int | None,
    rate: float | None,
    skip_bad: bool,
    kafka: str | None,
    data_dir: Path | None,
) -> None:
    bootstrap, kind = find_kind(kafka, data_dir, name)
    _publish(bootstrap, kind.events, open_events(file, kind), limit, rate, skip_bad)


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
