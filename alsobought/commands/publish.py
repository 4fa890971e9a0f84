"""`publish` and `forget`: publish files to Kafka, and erase a customer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from alsobought.bars import progress_bar
from alsobought.options import CommandError, DataDir, Kafka, bootstrap_of, find_kind, settings_of
from alsobought.publish_options import (
    Again,
    File,
    Limit,
    OwnFile,
    PublishOptions,
    Rate,
    Separator,
    SkipBad,
    Sort,
    SourceName,
    separator_of,
    source_of,
)
from alsobought.signals import interruptible, run_until_signalled
from alsobought.sources import EventSource, TableSource, numbered, open_events, open_items, open_synthetic
from alsobought.sources.complete_journey import NAME as BUNDLED
from alsobought.sources.synthetic import Shape
from streams.broker.topics_admin import require_topics
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import partitions_of, send
from streams.kafka.publishing import PublishReport, Record, publish
from streams.kinds import BOUGHT, WATCHED, EventKind, kinds_of
from streams.messages.checks import Unusable, check_id
from streams.messages.schema import EventMessage, encode
from streams.rights import Right
from streams.topics import ITEMS, TopicSpec


def purchases(
    file: File,
    limit: Limit = None,
    rate: Rate = None,
    skip_bad: SkipBad = False,
    separator: Separator = None,
    sort: Sort = None,
    source: SourceName = None,
    again: Again = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish purchases: columns customer_id, item_id, timestamp, optionally quantity, event_id and others.

    A file is read and checked first: unless --skip-bad is given nothing is published when a row of it cannot
    be used. Publishing the same file again counts nothing twice, unless --again is given.
    """
    how = PublishOptions(limit, rate, skip_bad, separator, sort, source, again)
    _publish_events(BOUGHT.name, file, how, kafka, data_dir)


def watches(
    file: OwnFile,
    limit: Limit = None,
    rate: Rate = None,
    skip_bad: SkipBad = False,
    separator: Separator = None,
    sort: Sort = None,
    source: SourceName = None,
    again: Again = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish watches, or views, or listens: the columns are those of purchases; an event_type, if any, is
    watch.

    A file is read and checked first, and counted once, as for `publish purchases`.
    """
    how = PublishOptions(limit, rate, skip_bad, separator, sort, source, again)
    _publish_events(WATCHED.name, file, how, kafka, data_dir)


def events(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="A type of ALSOBOUGHT_EVENT_TYPES, or bought or watched.")
    ],
    file: OwnFile,
    limit: Limit = None,
    rate: Rate = None,
    skip_bad: SkipBad = False,
    separator: Separator = None,
    sort: Sort = None,
    source: SourceName = None,
    again: Again = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish events of a further type that the settings name: the columns are those of purchases.

    A file is read and checked first, and counted once, as for `publish purchases`.
    """
    how = PublishOptions(limit, rate, skip_bad, separator, sort, source, again)
    _publish_events(kind, file, how, kafka, data_dir)


def synthetic(
    items: Annotated[int, typer.Option(min=1, help="How many items there are.")] = Shape.items,
    customers: Annotated[int, typer.Option(min=1, help="How many customers there are.")] = Shape.customers,
    events: Annotated[int, typer.Option(min=1, help="How many purchases to make up.")] = Shape.events,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other purchases.")] = Shape.seed,
    days: Annotated[int, typer.Option(min=1, max=365, help="The period they fill, from 2025.")] = Shape.days,
    drift: Annotated[
        float, typer.Option(min=0, help="How often a year a place in popularity passes to another item.")
    ] = Shape.drift,
    rate: Rate = None,
    source: SourceName = None,
    again: Again = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish synthetic purchases: Zipf's items, heavy-tailed customers and baskets, in order of time.

    The same options give the same purchases, which count once unless --again is given. They are made while
    they are sent, so their number is not bounded by memory.
    """
    bootstrap = bootstrap_of(settings_of(kafka, data_dir))
    shape = Shape(items, customers, events, seed, days, drift)
    _publish_all(
        bootstrap, BOUGHT, open_synthetic(shape), PublishOptions(rate=rate, source=source, again=again)
    )


def items(
    file: File,
    limit: Limit = None,
    skip_bad: SkipBad = False,
    separator: Separator = None,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Publish the catalogue: columns item_id, and optionally title, category, brand, price and available.

    Without --skip-bad a file is checked first, and nothing is published when a row of it cannot be used.
    """
    bootstrap = bootstrap_of(settings_of(kafka, data_dir))
    found = open_items(file, separator_of(separator))
    if not skip_bad and found.repeatable and found.name != BUNDLED:
        with progress_bar(f"read {file}", None) as done:
            found.check(lambda position: done(position.done))
    _send(bootstrap, ITEMS, first(found.records(skip_bad=skip_bad), limit), limit, None)
    _show_notes(found)


def forget(
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer_id.")],
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Erase a customer from all counts: publish a forget on purchases, watches and every further type.

    It is sent to every partition, because producers may choose different partitions for the same customer.

    docs/guarantees.md says what remains, and for how long.
    """
    settings = settings_of(kafka, data_dir)
    bootstrap = bootstrap_of(settings)
    try:
        check_id("customer_id", customer_id)
    except Unusable as error:
        raise CommandError(f"{error}.") from error
    now_ms = time.time_ns() // 1_000_000
    value = encode(EventMessage(customer_id=customer_id, timestamp=now_ms, type="forget"))
    topics = [kind.events for kind in kinds_of(settings)]
    require_topics(bootstrap, topics, [Right("topic", spec.name, "Write") for spec in topics])
    for spec in topics:
        partitions = range(partitions_of(bootstrap, spec))
        send(bootstrap, spec, [(partition, customer_id.encode(), value) for partition in partitions])
    typer.echo(f"published a forget of {customer_id} on {', '.join(spec.name for spec in topics)}")


def _publish_events(
    name: str, file: str, how: PublishOptions, kafka: str | None, data_dir: Path | None
) -> None:
    bootstrap, kind = find_kind(kafka, data_dir, name)
    _publish_all(bootstrap, kind, open_events(file, kind, separator_of(how.separator)), how)


def _publish_all(bootstrap: Bootstrap, kind: EventKind, found: EventSource, how: PublishOptions) -> None:
    by_time = how.sort if how.sort is not None else found.repeatable
    source = source_of(found, how, by_time=by_time)
    with interruptible(), ExitStack() as stack:  # however it ends, files of sorting are removed
        with progress_bar(f"read {found.name}", None) as done:
            batches = stack.enter_context(
                found.ordered(
                    skip_bad=how.skip_bad, by_time=by_time, on_position=lambda position: done(position.done)
                )
            )
        _send(bootstrap, kind.events, first(numbered(batches, source), how.limit), how.limit, how.rate)
    _show_notes(found)


def _show_notes(source: TableSource) -> None:
    """Print which rows were left out, and which cells were not read as they are written."""
    if source.bad.count:
        typer.echo(f"left out {source.bad.count:,} rows:\n{source.bad}", err=True)
    if notes := str(source.notes):
        typer.echo(notes, err=True)


def _send(
    bootstrap: Bootstrap,
    spec: TopicSpec,
    batches: Iterable[Sequence[Record]],
    limit: int | None,
    rate: float | None,
) -> None:
    with progress_bar("published", limit) as on_progress:
        report = run(bootstrap, spec, batches, rate, on_progress)
    per_s = report.records / max(report.seconds, 1e-9)
    typer.echo(f"{report.records:,} records in {report.seconds:.2f} s: {per_s:,.0f} records/s")


def run(
    bootstrap: Bootstrap,
    spec: TopicSpec,
    batches: Iterable[Sequence[Record]],
    rate: float | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> PublishReport:
    """Publish from a program that is not asynchronous. Raises as `publish` does."""
    return run_until_signalled(publish(bootstrap, spec.name, batches, rate=rate, on_progress=on_progress))


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
