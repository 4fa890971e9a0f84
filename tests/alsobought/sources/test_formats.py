"""Every format gives the same purchases."""

from __future__ import annotations

import gzip
import io
import lzma
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alsobought.sources import Position, SourceError, open_items, open_purchases
from streams.messages.schema import CatalogueItem, EventMessage, decode_event, decode_item

CSV = '''\
customer_id,item_id,timestamp,quantity,event_type,event_id,price,basket_id,profile_id,colour
ann,tea,2026-01-31T12:00:00Z,2,purchase,e1,2.50,b1,kid,red
7,"milk, ""fresh""",1769860800,,,,,,,
ann,tea,2026-01-31 13:00:00+01:00,1,return,e3,,,,
ann,,1769860800000,,forget,,,,,
'''
JSON = """\
{"customer_id":"ann","item_id":"tea","timestamp":"2026-01-31T12:00:00Z","quantity":2,"event_id":"e1",\
"price":2.5,"basket_id":"b1","profile_id":"kid","colour":["red"]}

{"customer_id":7,"item_id":"milk, \\"fresh\\"","timestamp":1769860800.0}
{"customer_id":"ann","item_id":"tea","timestamp":"2026-01-31 12:00:00","type":"return","event_id":"e3"}
{"customer_id":"ann","timestamp":1769860800000,"event_type":"forget"}
"""
NOON_MS = 1_769_860_800_000
EVENTS = [
    EventMessage(
        customer_id="ann",
        item_id="tea",
        timestamp=NOON_MS,
        quantity=2,
        event_id="e1",
        price=2.5,
        basket_id="b1",
        profile_id="kid",
    ),
    EventMessage(customer_id="7", item_id='milk, "fresh"', timestamp=NOON_MS),
    EventMessage(customer_id="ann", item_id="tea", timestamp=NOON_MS, type="return", event_id="e3"),
    EventMessage(customer_id="ann", timestamp=NOON_MS, type="forget"),
]


def read(name: str | Path) -> list[EventMessage]:
    return [event for batch in open_purchases(str(name)).messages() for event in batch]


@pytest.mark.parametrize("pack", [None, gzip.compress, lzma.compress], ids=["plain", "gz", "xz"])
@pytest.mark.parametrize(
    ("text", "ending"), [(CSV, "csv"), *((JSON, ending) for ending in ("jsonl", "ndjson", "json"))]
)
def test_text(tmp_path: Path, text: str, ending: str, pack: Callable[[bytes], bytes] | None) -> None:
    path = tmp_path / f"sales.2026.{ending}"
    if pack is None:
        path.write_text(text)
    else:
        path = path.with_suffix(f".{ending}.{'gz' if pack is gzip.compress else 'xz'}")
        path.write_bytes(pack(text.encode()))
    assert read(path) == EVENTS


def test_parquet_of_typed_columns(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    columns = {
        "customer_id": pa.array(["ann", "7", "ann", "ann"]).dictionary_encode(),
        "item_id": ["tea", 'milk, "fresh"', "tea", None],
        "timestamp": pa.array([noon] * 4, pa.timestamp("ns", "Europe/Berlin")),
        "quantity": [2.0, None, 1.0, None],
        "event_type": ["purchase", None, "return", "forget"],
        "event_id": ["e1", None, "e3", None],
        "price": [2.5, None, None, None],
        "basket_id": ["b1", None, None, None],
        "profile_id": ["kid", None, None, None],
        "colour": [["red"], None, None, None],
    }
    pq.write_table(pa.table(columns), path, row_group_size=3)
    assert read(path) == EVENTS


def test_integer_ids_and_naive_times_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    times = pa.array([datetime(1991, 1, 1)], pa.timestamp("us"))
    pq.write_table(pa.table({"customer_id": [7], "item_id": [8], "timestamp": times}), path)
    assert read(path) == [EventMessage(customer_id="7", item_id="8", timestamp=662_688_000_000)]


@pytest.mark.parametrize("text", [CSV, JSON, "\n \n" + JSON, "\ufeff" + CSV, CSV.replace("\n", "\r\n")])
def test_standard_input(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    source = open_purchases("-")
    assert not source.repeatable
    assert [event for batch in source.messages() for event in batch] == EVENTS
    assert source.position == Position(len(text.encode()), None, "bytes")


@pytest.mark.parametrize("text", [CSV, JSON])
def test_lines_of_a_pipe_are_not_held_back(text: str) -> None:
    program = (
        "from alsobought.sources import open_purchases\n"
        "for batch in open_purchases('-').messages(): print(len(batch), flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(text + text.splitlines()[-1][:9])
        child.stdin.flush()
        assert child.stdout.readline() == "4\n"  # the pipe is still open, in the middle of a line
        child.stdin.write(text.splitlines()[-1][9:])
        child.stdin.close()
        assert child.stdout.readline() == "1\n"
        assert child.wait() == 0


def test_a_quoted_cell_may_span_lines_and_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "items.csv"
    path.write_text('item_id,title\na,"one\ntwo"\n\nb,"x\r\ny"\n', newline="")
    monkeypatch.setattr("alsobought.sources.lines.CHUNK_BYTES", 7)
    titles = [item.title for batch in open_items(str(path)).messages() for item in batch]
    assert titles == ["one\ntwo", "x\r\ny"]


def test_chunks_cut_lines_and_characters_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, ending in ((CSV, "csv"), (JSON, "jsonl")):
        path = tmp_path / f"sales.{ending}"
        path.write_text(text.replace("kid", "kïd"), encoding="utf-8")
        for size in (1, 2, 3, 100):
            monkeypatch.setattr("alsobought.sources.lines.CHUNK_BYTES", size)
            assert [event.profile_id for event in read(path)] == ["kïd", None, None, None]


def test_records_are_like_those_of_the_topics(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(CSV)
    source = open_purchases(str(path))
    records = [record for batch in source.records() for record in batch]
    assert [key for key, _ in records] == [b"ann", b"7", b"ann", b"ann"]
    assert [decode_event(value) for _, value in records] == EVENTS
    size = path.stat().st_size
    assert source.position == Position(size, size, "bytes")


def test_items(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,category,brand,price,available,year\n1,Tea,Drinks,,2.5,no,1999\n2,,,,,,\n")
    records = [record for batch in open_items(str(path)).records() for record in batch]
    assert [key for key, _ in records] == [b"1", b"2"]
    assert [decode_item(value) for _, value in records] == [
        CatalogueItem(item_id="1", title="Tea", category="Drinks", price=2.5, available=False),
        CatalogueItem(item_id="2"),
    ]


def test_empty_files(tmp_path: Path) -> None:
    header = tmp_path / "sales.csv"
    header.write_text("customer_id,item_id,timestamp\n")
    nothing = tmp_path / "sales.jsonl"
    nothing.write_text("")
    assert read(header) == read(nothing) == []


def test_a_name_of_no_known_format_is_refused() -> None:
    for name in ("sales.xlsx", "sales", "sales.parquet.gz", "sales.gz"):
        with pytest.raises(SourceError, match=r"Known are \.csv"):
            open_purchases(name)
