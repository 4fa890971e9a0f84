"""`related`, `watch` and `export`: show, follow and export lists."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from alsobought.clients import ask_owner
from alsobought.options import (
    DEFAULT_KIND,
    CommandError,
    DataDir,
    Json,
    Kafka,
    KindName,
    find_kind,
    find_listed,
)
from alsobought.tables import print_table, time_of
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import Follower, TopicRecord, ends, read_all
from streams.messages.schema import decode_item, decode_related, key_text
from streams.recommending.messages import decode_recommendations
from streams.topics import ITEMS, TopicSpec

BEST = 5


def related(
    item_id: Annotated[str, typer.Argument(metavar="ITEM", help="Its item_id.")],
    k: Annotated[int, typer.Option("--k", min=1, max=1000, help="How many related items.")] = 10,
    with_titles: Annotated[bool, typer.Option("--titles", help="With titles from the catalogue.")] = False,
    kind: KindName = DEFAULT_KIND,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show an item's related items as of now, from the worker that counts it.

    together: customers who have both. expected: how many would have both if buying were independent.
    """
    bootstrap, asked = find_listed(kafka, data_dir, kind)
    found = ask_owner(bootstrap, asked.deltas, item_id, "related", {"k": k, "kind": kind})
    entries = found["related"]
    names = titles(bootstrap, {item_id, *(e["item_id"] for e in entries)}) if with_titles else {}
    if as_json:
        for entry in entries if with_titles else ():
            entry["title"] = names.get(entry["item_id"])
        typer.echo(json.dumps(found))
        return
    columns = ["rank", "item", *(["title"] if with_titles else []), "score", "together", "expected"]
    rows = [
        [
            rank,
            e["item_id"],
            *([names.get(e["item_id"], "")] if with_titles else []),
            float(e["score"]),
            e["together"],
            float(e["expected"]),
        ]
        for rank, e in enumerate(entries, 1)
    ]
    name = f"{item_id} {names.get(item_id) or ''}".rstrip()
    print_table(columns, rows, f"{name} ({found['buyers']:,} buyers)")


def titles(bootstrap: Bootstrap, wanted: Collection[str]) -> dict[str, str]:
    """Return the titles of items, from one pass over the catalogue's topic."""
    keys = {item_id.encode() for item_id in wanted}
    newest = {row.key: row.value for row in read_all(bootstrap, ITEMS) if row.key in keys}
    found: dict[str, str] = {}
    for value in newest.values():
        with contextlib.suppress(msgspec.MsgspecError):  # the worker has refused it
            if value is not None and (item := decode_item(value)).title is not None:
                found[item.item_id] = item.title
    return found


def watch(
    items: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Only these items; else all.")
    ] = None,
    recommendations: Annotated[
        bool, typer.Option("--recommendations", help="Recommendations instead; ids are of customers.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many changes.")] = None,
    kind: KindName = DEFAULT_KIND,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Follow lists or recommendations as they change, from now on. Ctrl-C ends it.

    Of a list it shows time, item, buyers and the best 5; of recommendations time, customer and the best 5.
    """
    wanted = {item.encode() for item in items or ()}
    if recommendations:
        bootstrap, of = find_kind(kafka, data_dir, kind)
        topic = of.recommendations
    else:
        bootstrap, listed = find_listed(kafka, data_dir, kind)
        topic = listed.lists
    seen = 0
    with (
        Follower(bootstrap, topic) as follower,
        contextlib.suppress(KeyboardInterrupt),
    ):
        typer.echo("watching; Ctrl-C ends it", err=True)
        while limit is None or seen < limit:
            for row in follower.poll():
                owner = row.key.partition(b"\t")[0] if recommendations and row.key else row.key
                if (wanted and owner not in wanted) or (limit is not None and seen >= limit):
                    continue
                seen += 1
                change = _recommended if recommendations else _change
                typer.echo(_change_as_json(row) if as_json else change(row))
            sys.stdout.flush()


def _change_as_json(row: TopicRecord) -> str:
    if row.value is not None:
        return row.value.decode()
    return json.dumps({"item_id": key_text(row.key), "related": None})


def _change(row: TopicRecord) -> str:
    head = f"{time_of(row.timestamp_ms)}  {key_text(row.key):<12}"
    if row.value is None:
        return f"{head}  no list any more"
    try:
        message = decode_related(row.value)
    except msgspec.MsgspecError as error:
        return f"{head}  no list that a worker wrote: {error}"
    return f"{head}  {message.buyers:>6,} buyers  {' '.join(e.item_id for e in message.related[:BEST])}"


def _recommended(row: TopicRecord) -> str:
    name = key_text(row.key)
    if row.value is None:
        return f"{time_of(row.timestamp_ms)} {name}: nothing any more"
    try:
        published = decode_recommendations(row.value)
    except msgspec.MsgspecError as error:
        return f"{time_of(row.timestamp_ms)} {name}: nothing that a recommender wrote: {error}"
    best = ", ".join(f"{e.item_id} ({e.source})" for e in published.items[:BEST])
    return f"{time_of(row.timestamp_ms)} {name}: {best}"


Output = Annotated[Path | None, typer.Option("--output", help="A file; else standard output.")]


def export_related(
    output: Output = None, kind: KindName = DEFAULT_KIND, kafka: Kafka = None, data_dir: DataDir = None
) -> None:
    """Write every current list, one JSON message a line, exactly as on the topic."""
    bootstrap, asked = find_listed(kafka, data_dir, kind)
    _export(bootstrap, asked.lists, output, "lists")


def export_recommendations(
    output: Output = None, kind: KindName = DEFAULT_KIND, kafka: Kafka = None, data_dir: DataDir = None
) -> None:
    """Write everybody's current recommendations, one JSON message a line, exactly as on the topic."""
    bootstrap, asked = find_kind(kafka, data_dir, kind)
    _export(bootstrap, asked.recommendations, output, "recommendations")


def export_bestsellers(
    output: Output = None, kind: KindName = DEFAULT_KIND, kafka: Kafka = None, data_dir: DataDir = None
) -> None:
    """Write all bestsellers and rising items, one JSON message a line, exactly as on the topic."""
    bootstrap, asked = find_kind(kafka, data_dir, kind)
    _export(bootstrap, asked.bestsellers, output, "lists")


def _export(bootstrap: Bootstrap, spec: TopicSpec, output: Path | None, what: str) -> None:
    """Write the newest message of every key.

    The topic is read twice, so that memory holds only where each key's newest message is.
    """
    until = ends(bootstrap, spec)
    newest = {row.key: (row.partition, row.offset) for row in read_all(bootstrap, spec, until)}
    count = 0
    with _writing(output) as file:
        for row in read_all(bootstrap, spec, until):
            if row.value is not None and newest[row.key] == (row.partition, row.offset):
                file.write(row.value + b"\n")
                count += 1
    typer.echo(f"{count:,} {what}", err=True)


@contextlib.contextmanager
def _writing(output: Path | None) -> Iterator[BinaryIO]:
    """Open standard output, or a file that appears under its name when it is complete."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    part = output.with_name(f"{output.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise CommandError(
            f"cannot write {output}: {error.strerror or error}. Choose another --output."
        ) from error
    finally:
        part.unlink(missing_ok=True)
