"""Tests of `alsobought publish` to a real Kafka: contents, order, sources, and refusals."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from alsobought.cli import app
from streams.kafka.follower import read_all, send
from streams.messages.schema import CatalogueItem, DeadLetter, EventMessage, decode_event, decode_item, encode
from streams.topics import DEAD_LETTERS, ITEMS, PURCHASES
from tests.streams.pipeline import until

if TYPE_CHECKING:
    from streams.broker.embedded import EmbeddedKafka

CASES = Path(__file__).parent / "sources" / "cases"
HEADER = "customer_id,item_id,timestamp\n"
NOON = 1_769_860_800


@pytest.fixture(scope="module")
def kafka(new_kafka: Callable[[], EmbeddedKafka]) -> EmbeddedKafka:
    """Return a Kafka for all tests of this file; each test reads only new records."""
    return new_kafka()


def run(kafka: EmbeddedKafka, *words: object, stdin: str | None = None) -> Result:
    command = [*map(str, words), "--kafka", kafka.bootstrap.servers]
    return CliRunner().invoke(app, command, input=stdin)


class Purchases:
    """Read the records that came to the topic since the last call."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self._kafka = kafka
        self._seen: set[tuple[int, int]] = set()
        self.new()

    def new(self) -> list[EventMessage]:
        rows = [
            row for row in read_all(self._kafka.bootstrap, PURCHASES)
            if (row.partition, row.offset) not in self._seen
        ]  # fmt: skip
        self._seen |= {(row.partition, row.offset) for row in rows}
        found = [decode_event(row.value) for row in rows if row.value]
        assert all(row.key == event.customer_id.encode() for row, event in zip(rows, found, strict=True))
        return sorted(found, key=lambda event: -1 if event.sequence is None else event.sequence)


def test_files_are_sent_in_order_of_time_and_say_where_they_are_from(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    path, topic = tmp_path / "sales.csv", Purchases(kafka)
    rows = [f"c{n % 5},i{n},{NOON - 60 * (n // 2)}\n" for n in range(40)]
    path.write_text(HEADER + "".join(rows))

    done = run(kafka, "publish", "purchases", path)
    assert (done.exit_code, done.stdout[:11]) == (0, "40 records "), done.stderr
    first = topic.new()
    assert [event.sequence for event in first] == list(range(40))
    assert [event.item_id for event in first] == [f"i{n + odd}" for n in range(38, -1, -2) for odd in (0, 1)]
    (source,) = {event.source for event in first}
    assert source is not None
    assert len(source) >= 12

    assert run(kafka, "publish", "purchases", path).exit_code == 0
    assert topic.new() == first  # source and sequences are the same, so a worker counts none of them again

    assert run(kafka, "publish", "purchases", path, "--again").exit_code == 0
    assert {(event.source, event.sequence) for event in topic.new()} == {(None, None)}

    assert run(kafka, "publish", "purchases", path, "--unsorted", "--limit", 10).exit_code == 0
    unsorted = topic.new()
    assert [event.item_id for event in unsorted] == [f"i{n}" for n in range(10)]
    assert {event.source for event in unsorted}.isdisjoint({source, None})

    named = run(kafka, "publish", "purchases", path, "--source", "orders", "--limit", 3)
    assert named.exit_code == 0
    assert [(event.source, event.sequence) for event in topic.new()] == [("orders", n) for n in range(3)]

    piped = path.read_text()
    assert run(kafka, "publish", "purchases", "-", stdin=piped).exit_code == 0
    assert {event.source for event in topic.new()} == {None}
    assert run(kafka, "publish", "purchases", "-", "--source", "orders", "--sort", stdin=piped).exit_code == 0
    assert [event.item_id for event in topic.new()] == [event.item_id for event in first]

    both = run(kafka, "publish", "purchases", path, "--source", "x", "--again")
    assert (both.exit_code, both.stdout) == (1, "")
    assert "--source and --again contradict" in both.stderr
    for name, why in {"": "missing or empty", "a\tb": "U+0009", "x" * 65: "more than 64 bytes"}.items():
        refused = run(kafka, "publish", "purchases", path, "--source", name)
        assert refused.exit_code == 1
        assert why in refused.stderr
    assert topic.new() == []


def test_nothing_is_sent_of_a_file_with_rows_that_a_worker_would_refuse(kafka: EmbeddedKafka) -> None:
    topic = Purchases(kafka)
    names = (
        "day-numbers",
        "excel-serial",
        "placeholder-1970",
        "long-event-id",
        "long-profile",
        "tab-in-event-id",
    )
    for name in names:
        path = CASES / f"{name}.csv"
        refused = run(kafka, "publish", "purchases", path)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert f"{path}:2: " in refused.stderr
        assert topic.new() == []
        skipped = run(kafka, "publish", "purchases", path, "--skip-bad")
        assert skipped.exit_code == 0
        rows = path.read_text().count("\n") - 1
        sent = len(topic.new())
        assert f"left out {rows - sent} rows:\n{path}:2: " in skipped.stderr
        assert skipped.stdout.startswith(f"{sent} records ")


def test_changes_of_cells_are_reported(kafka: EmbeddedKafka) -> None:
    topic = Purchases(kafka)
    done = run(kafka, "publish", "purchases", CASES / "semicolon.csv")
    assert done.exit_code == 0
    assert "separated by semicolons" in done.stderr
    assert "price: cells that are no number" in done.stderr
    assert run(kafka, "publish", "purchases", CASES / "float-customers.csv").exit_code == 0
    assert {event.customer_id for event in topic.new()} == {"c1", "17850", "13047"}
    for given in (";", "\\t", "tab"):
        assert run(kafka, "publish", "purchases", CASES / "tabs.csv", "--separator", given).exit_code == (
            given == ";"
        )
    wrong = run(kafka, "publish", "purchases", CASES / "tabs.csv", "--separator", "--")
    assert "is not one character" in wrong.stderr


def test_a_catalogue_with_a_wrong_quote(kafka: EmbeddedKafka) -> None:
    path = CASES / "inner-quote.csv"
    refused = run(kafka, "publish", "items", path)
    assert (refused.exit_code, f"{path}:2: not CSV" in refused.stderr) == (1, True)
    assert list(read_all(kafka.bootstrap, ITEMS)) == []
    skipped = run(kafka, "publish", "items", path, "--skip-bad")
    assert (skipped.exit_code, skipped.stdout[:10]) == (0, "2 records ")
    sent = [decode_item(row.value) for row in read_all(kafka.bootstrap, ITEMS) if row.value]
    assert sorted(item.title or "" for item in sent) == ["Cable, 2 m", "Desk lamp"]
    assert CatalogueItem(item_id="m2", title="Desk lamp", brand="acme") in sent


def test_made_up_purchases(kafka: EmbeddedKafka) -> None:
    topic = Purchases(kafka)
    options = ("--items", 50, "--customers", 20, "--events", 1000, "--seed", 3)
    assert run(kafka, "publish", "synthetic", *options).stdout.startswith("1,000 records ")
    first = topic.new()
    times = [int(event.timestamp) for event in first]
    assert times == sorted(times)
    assert len({event.item_id for event in first}) > 25
    assert run(kafka, "publish", "synthetic", *options).exit_code == 0
    assert topic.new() == first
    assert run(kafka, "publish", "synthetic", *options[:-1], 4).exit_code == 0
    assert topic.new()[0].source != first[0].source


def test_drain_reports_refused_records(kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    from alsobought import draining

    monkeypatch.setattr(draining, "drain", lambda *_args: draining.Drained({"purchases": 7}, 0.5))
    assert json.loads(run(kafka, "drain", "--json").stdout) == {"purchases": 7, "seconds": 0.5, "refused": 0}
    assert run(kafka, "drain").stdout == "drained in 0.5 s: 7 purchases\n"
    letter = DeadLetter("purchases", 0, 3, "not the JSON expected", NOON * 1000, b"ann", b"{")
    send(kafka.bootstrap, DEAD_LETTERS, [(partition, None, encode(letter)) for partition in (0, 2, 2)])
    said = json.loads(run(kafka, "drain", "--json").stdout)
    assert said["refused"] == 3
    assert said["refused_since_ms"] > NOON * 1000
    answer = run(kafka, "drain").stdout.splitlines()[1]
    assert answer.startswith("3 records were refused since 20")
    assert "`alsobought dead-letters`" in answer
    assert run(kafka, "dead-letters").stdout.count("not the JSON expected") == 3


def test_standard_input_stops_at_a_bad_row(kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{HEADER}ann,tea,{NOON}\nann,milk,yesterday\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    refused = run(kafka, "publish", "purchases", "-", stdin=text)
    assert refused.exit_code == 1
    assert "-:3: timestamp 'yesterday' is neither" in refused.stderr


def test_sigterm_leaves_no_files_of_sorting(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    path, folder = tmp_path / "sales.csv", tmp_path / "room"
    folder.mkdir()
    path.write_text(HEADER + "".join(f"ann,i{n},{NOON - n}\n" for n in range(50)))
    program = (
        "import sys; from alsobought.sources.ordering import Sorted; from alsobought.cli import main;"
        " Sorted.__init__.__kwdefaults__['run_bytes'] = 1; main()"
    )
    words = ["publish", "purchases", str(path), "--rate", "1", "--kafka", kafka.bootstrap.servers]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen([sys.executable, "-c", program, *words], env=environment) as child:
        until(lambda: list(folder.glob("alsobought-sort-*/*.arrow")), "a file of sorting")
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 130
    assert list(folder.iterdir()) == []
