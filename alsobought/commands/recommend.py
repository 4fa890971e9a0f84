"""`recommend`, `bestsellers` and `experiments`: what customers should see, and how good that is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from alsobought.advising import Recommenders
from alsobought.bars import progress_bar as progress
from alsobought.commands.lists import titles
from alsobought.options import (
    DEFAULT_KIND,
    CommandError,
    DataDir,
    Json,
    Kafka,
    KindName,
    bootstrap_of,
    find_kind,
    kind_named,
    settings_of,
)
from alsobought.sources.id_list import read_ids
from alsobought.tables import print_table
from recommending.experiments import interval, p_value
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import read_all
from streams.messages.schema import key_text
from streams.recommending.messages import decode_quality, decode_sellers, encode
from streams.topics import QUALITY

AT_ONCE = 200
Best = Annotated[int, typer.Option("--k", min=1, max=100, help="How many items.")]
Only = Annotated[list[str] | None, typer.Option("--category", help="Only of this category; may be repeated.")]


def recommend(
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="A customer_id.")] = None,
    customers: Annotated[
        Path | None,
        typer.Option("--customers", metavar="FILE", help="Customer ids, one a line; - for stdin."),
    ] = None,
    k: Best = 6,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Only what the customer does not have.")
    ] = False,
    buy_again: Annotated[bool, typer.Option("--buy-again", help="Only what the customer has.")] = False,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="bought, watched, ...; else the newest events'."),
    ] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="For this profile of the account.")] = None,
    category: Only = None,
    brand: Annotated[
        list[str] | None, typer.Option("--brand", help="Only of this brand; repeatable.")
    ] = None,
    lowest_price: Annotated[float | None, typer.Option("--from-price", help="Not cheaper.")] = None,
    highest_price: Annotated[float | None, typer.Option("--to-price", help="Not dearer.")] = None,
    item: Annotated[list[str] | None, typer.Option("--item", help="Only of these items; repeatable.")] = None,
    without: Annotated[list[str] | None, typer.Option("--without", help="Not this item; repeatable.")] = None,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Recommend items to a customer, as of now, with the purchases that are the reasons for each.

    Unless a shelf is chosen, both new items and due ones are shown. With --customers and --json there is one
    line for each customer of the file, in its order.
    """
    if (customer is None) == (customers is None):
        raise CommandError("name one CUSTOMER, or a file of them with --customers.")
    if new_only and buy_again:
        raise CommandError("--new-only and --buy-again exclude one another: leave both out for both.")
    settings = settings_of(kafka, data_dir)
    bootstrap = bootstrap_of(settings)
    if kind is not None:
        kind_named(kind, settings)
    question = {
        "kind": kind, "k": k, "profile": profile,
        "shelf": "new" if new_only else "again" if buy_again else "all",
        "filter": {
            "categories": category or [], "brands": brand or [], "lowest_price": lowest_price,
            "highest_price": highest_price, "only": item or [], "without": without or [],
        },
    }  # fmt: skip
    wanted = [customer] if customer is not None else list(read_ids(str(customers)))
    recommenders = Recommenders(bootstrap)
    with progress("recommended to", len(wanted)) as advance:
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            answers = recommenders.recommend(question, some)
            for name in some:
                _show_answer(bootstrap, name, answers[name], as_json=as_json)
            advance(start + len(some))


def _show_answer(bootstrap: Bootstrap, customer: str, answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    names = titles(bootstrap, {i for e in answer["items"] for i in (e["item_id"], *e["because"])})
    print_table(
        ["item", "title", "score", "source", "because of"],
        [
            [e["item_id"], names.get(e["item_id"], ""), float(e["score"]), e["source"],
             ", ".join(names.get(b) or b for b in e["because"])]
            for e in answer["items"]
        ],
        f"{customer} ({answer['kind']})",
    )  # fmt: skip


def bestsellers(
    kind: KindName = DEFAULT_KIND,
    category: Annotated[str | None, typer.Option("--category", help="Of this category.")] = None,
    trending: Annotated[
        bool, typer.Option("--trending", help="What rises against the weeks before.")
    ] = False,
    k: Best = 20,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what sold most in the newest two weeks of event time, or what rises."""
    bootstrap, of = find_kind(kafka, data_dir, kind)
    key = ("trending" if trending else "category") + f":{category}"
    if category is None:
        key = "trending" if trending else "all"
    newest, prefix = None, "trending:" if trending else "category:"
    categories: set[str] = set()
    for row in read_all(bootstrap, of.bestsellers):
        which = key_text(row.key)
        if which == key:
            newest = row.value
        elif which.startswith(prefix):
            change = categories.discard if row.value is None else categories.add
            change(which.removeprefix(prefix))
    if newest is None:
        hint = f" of category {category!r}" if category else ""
        known = f"; categories are {', '.join(sorted(categories)[:20])}" if category and categories else ""
        raise CommandError(f"nothing {'rises' if trending else 'is sold'}{hint} in two weeks{known}.")
    try:
        counted = decode_sellers(newest)
    except msgspec.MsgspecError as error:
        raise CommandError(f"the newest record of {key} is by no recommender: {error}.") from None
    counted.items = counted.items[:k]
    if as_json:
        typer.echo(encode(counted).decode())
        return
    names = titles(bootstrap, {s.item_id for s in counted.items})
    columns = ["item", "title", "purchases", *(["rise"] if trending else [])]
    print_table(
        columns,
        [
            [s.item_id, names.get(s.item_id, ""), s.purchases, *([float(s.rise or 0)] if trending else [])]
            for s in counted.items
        ],
    )


def experiments(
    kind: KindName = DEFAULT_KIND, kafka: Kafka = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Show how often customers bought what had been recommended to them, by algorithm and variant.

    A case is a customer who came back and bought something new; a hit is a case in which at least one of six
    items was bought. The interval is of 95 %; p is the probability of such a difference from the first
    variant if both were equally good.
    """
    bootstrap, of = find_kind(kafka, data_dir, kind)
    totals = hit_rates(row.value for row in read_all(bootstrap, QUALITY) if row.value).get(of.name, {})
    if as_json:
        typer.echo(json.dumps(totals))
        return
    if not totals:
        typer.echo("nobody has come back yet since recommendations are made")
        return
    shown = {name: counted for name, counted in totals.items() if name.startswith("shown ")}
    others = {name: counted for name, counted in totals.items() if name not in shown}
    for title, group in (("algorithm", others), ("variant", shown)):
        if group:
            # algorithms are tested on the same cases, so that only variants have a p
            reference = group[min(group)] if group is shown else None
            print_table(
                [title, "cases", "hits", "rate", "95 %", *(["p"] if reference else [])],
                [_row(name, counted, reference) for name, counted in sorted(group.items())],
            )


def _row(name: str, counted: dict[str, int], reference: dict[str, int] | None) -> list[Any]:
    low, high = interval(counted["hits"], counted["cases"])
    rate = counted["hits"] / counted["cases"]
    row = [
        name.removeprefix("shown "),
        counted["cases"],
        counted["hits"],
        f"{rate:.4f}",
        f"{low:.4f}-{high:.4f}",
    ]
    if reference is not None:
        p = p_value(counted["hits"], counted["cases"], reference["hits"], reference["cases"])
        row.append("" if counted is reference else f"{p:.3g}")
    return row


def hit_rates(values: Iterable[bytes]) -> dict[str, dict[str, dict[str, int]]]:
    """Return cases and hits by kind and algorithm (or "shown VARIANT") over all days, from records of
    `quality`.
    """
    newest = {}
    for value in values:
        try:
            q = decode_quality(value)
        except msgspec.MsgspecError:
            continue  # of somebody else
        newest[q.kind, q.partition, q.day, q.algorithm, q.variant] = q
    totals: dict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    for q in newest.values():
        name = q.algorithm if q.variant is None else f"{q.algorithm} {q.variant}"
        counted = totals[q.kind].setdefault(name, {"cases": 0, "hits": 0})
        counted["cases"] += q.cases
        counted["hits"] += q.hits
    return totals
