"""`inspect` and `dead-letters`: show what the workers have counted, and what they could not use."""

from __future__ import annotations

import itertools
import json
from typing import Annotated

import msgspec
import typer

from alsobought.clients import ask_all, ask_owner
from alsobought.options import (
    DEFAULT_KIND,
    DataDir,
    Json,
    Kafka,
    KindName,
    find_kafka,
    find_kind,
    find_listed,
)
from alsobought.tables import print_table, time_of
from streams.kafka.follower import read_all
from streams.messages.schema import decode_dead_letter
from streams.topics import DEAD_LETTERS

SHOWN = 20
VALUE_CHARS = 60

Limit = Annotated[int | None, typer.Option(min=1, help="End after so many.")]


def item(
    item_id: Annotated[str, typer.Argument(metavar="ITEM", help="Its item_id.")],
    kind: KindName = DEFAULT_KIND,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the counts of an item: buyers, neighbours, and those most bought together with it."""
    bootstrap, asked = find_listed(kafka, data_dir, kind)
    found = ask_owner(bootstrap, asked.deltas, item_id, "items", {"kind": kind})
    if as_json:
        typer.echo(json.dumps(found))
        return
    lists = ("most_together", "opportunity_nodes", "buyers_at_nodes")
    print_table(
        ["count", "value"], [[name, str(value)] for name, value in found.items() if name not in lists]
    )
    print_table(
        ["neighbour", "together", "after", "before"],
        [[n["item_id"], n["together"], n["after"], n["before"]] for n in found["most_together"][:SHOWN]],
    )


def customer(
    customer_id: Annotated[str, typer.Argument(metavar="ID", help="Its customer_id.")],
    kind: KindName = DEFAULT_KIND,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show a customer's history: the distinct items in order of first purchase, or of first watch."""
    bootstrap, asked = find_kind(kafka, data_dir, kind)
    found = ask_all(bootstrap, asked.events, customer_id, "customers", {"kind": kind})
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"customer {customer_id}: {found['items']} items ({found['task']})")
    history = found["history"]
    if history and isinstance(history[0], dict):
        print_table(list(history[0]), [list(entry.values()) for entry in history])
    else:
        print_table(["rank", "item"], [[rank, str(entry)] for rank, entry in enumerate(history)])


def dead_letters(
    limit: Limit = None, kafka: Kafka = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """List the records that could not be used: where they were, why, and how their value starts.

    With --json there is one object a line, with key and value whole, in base64.
    """
    rows = []
    for row in itertools.islice(read_all(find_kafka(kafka, data_dir), DEAD_LETTERS), limit):
        if row.value is None:
            continue
        if as_json:
            typer.echo(row.value.decode(errors="replace"))
            continue
        try:
            letter = decode_dead_letter(row.value)
        except msgspec.MsgspecError:
            continue  # of somebody else
        start = "" if letter.value is None else repr(letter.value[:VALUE_CHARS])[1:]
        at = time_of(letter.timestamp_ms)
        rows.append([letter.topic, letter.partition, str(letter.offset), at, letter.reason, start])
    if rows:
        print_table(["topic", "partition", "offset", "time (UTC)", "reason", "value"], rows)
    elif not as_json:
        typer.echo("none")
