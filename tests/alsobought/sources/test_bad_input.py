"""Errors in a file are reported with their place, and nothing is dropped silently."""

from __future__ import annotations

import gzip
import io
import lzma
from pathlib import Path

import pytest

from alsobought.sources import BadRow, BadRowsError, Position, SourceError, open_items, open_purchases

HEADER = "customer_id,item_id,timestamp,quantity,event_type,price\n"
GOOD = "ann,tea,1769860800,1,purchase,1\n"

BAD_ROWS = {
    "ann,tea,1769860800,0,,": "quantity 0 is not between 1 and 1,000,000",
    "ann,tea,1769860800,-2,,": "quantity -2 .* of type return",
    "ann,tea,1769860800,1.5,,": "quantity '1.5' is not a whole number",
    "ann,tea,1769860800,1_0,,": "quantity '1_0' is not a whole number",
    "ann,tea,1769860800,1,watch,": "type 'watch' is not for the topic purchases: publish it to watches",
    "ann,tea,1769860800,1,buy,": "type 'buy' is none of purchase, return, forget",
    ",tea,1769860800,1,,": "customer_id is missing",
    "ann,,1769860800,1,,": "item_id is missing",
    "ann,,1769860800,1,return,": "item_id is missing",
    f"ann,{'é' * 129},1769860800,1,,": "item_id has 258 bytes, more than 256: 'é+'",
    "ann,te\ta,1769860800,1,,": "item_id has the control character U.0009: 'te.*ta'",
    "ann,tea,,1,,": "timestamp is missing",
    "ann,tea,yesterday,1,,": "timestamp 'yesterday' is neither seconds or milliseconds",
    "ann,tea,20260131,1,,": "timestamp '20260131' looks like a date; write it as 2026-01-31",
    "ann,tea,1769860800000000,1,,": "timestamp '1769860800000000' is not between 1990 and now",
    "ann,tea,1969-12-31 23:59:59,1,,": "timestamp '1969-12-31 23:59:59' is 1969-12-31T23:59:59: before 1990",
    "ann,tea,1769860800,1": "4 cells where the header has 6",
    "ann,tea,1769860800,1,,,,": "8 cells where the header has 6",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_of_csv(tmp_path: Path, row: str) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(HEADER + GOOD + row + "\n" + GOOD, encoding="utf-8")
    source = open_purchases(str(path))
    with pytest.raises(BadRowsError, match=rf"sales\.csv:3: {BAD_ROWS[row]}"):
        list(source.records())
    assert sum(map(len, source.records(skip_bad=True))) == 2
    assert source.bad.count == 1
    assert source.bad.first[0].number == 3


BAD_LINES = {
    "{": "not a JSON object: Input data was truncated",
    "7": "not a JSON object: Expected `object`, got `int`",
    '{"customer_id":["ann"],"item_id":"tea","timestamp":1e9}': "text or a whole number, but is .'ann'",
    '{"customer_id":true,"item_id":"tea","timestamp":1e9}': "must be text or a whole number, but is True",
    '{"customer_id":"ann","item_id":"tea","timestamp":true}': "timestamp True is neither",
    '{"customer_id":"ann","item_id":"tea","timestamp":1e9,"quantity":true}': "quantity True is not a whole",
    '{"customer_id":"ann","item_id":"tea","timestamp":1e9,"basket_id":{}}': "basket_id {} is not text",
    '{"customer_id":"a","item_id":"b","timestamp":1e9,"type":"return","event_type":"forget"}': "contradict",
    '{"customer_id":"ann","item_id":"tea","timestamp":1e9,"event_type":["return"]}': "is none of purchase",
    '{"customer_id":"ann","item_id":"tea"}': "timestamp is missing",
}


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_bad_line_of_json(tmp_path: Path, line: str) -> None:
    good = '{"customer_id":"ann","item_id":"tea","timestamp":1e9}\n'
    path = tmp_path / "sales.jsonl"
    path.write_text(f"{good}\n{line}\n{good}")
    source = open_purchases(str(path))
    with pytest.raises(BadRowsError, match=rf"sales\.jsonl:3: .*{BAD_LINES[line]}"):
        list(source.records())
    assert sum(map(len, source.records(skip_bad=True))) == 2


def test_bytes_that_are_not_utf8_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    header = b"customer_id,item_id,timestamp,basket_id\n"
    path.write_bytes(header + b"ann,caf\xe9,1769860800,\nann,tea,1769860800,caf\xe9\n")
    source = open_purchases(str(path))
    assert list(source.records(skip_bad=True)) == []
    assert [row.number for row in source.bad.first] == [2, 3]
    lines = tmp_path / "sales.jsonl"
    lines.write_bytes(b'{"customer_id":"ann","item_id":"caf\xe9","timestamp":1e9}\n')
    with pytest.raises(
        BadRowsError, match=r"sales\.jsonl:1: the line .* is not UTF-8\. Save the file as UTF-8"
    ):
        list(open_purchases(str(lines)).records())
    lines.write_bytes(b'{"a":' + b"[" * 100_000)
    with pytest.raises(BadRowsError, match=r"sales\.jsonl:1: not a JSON object: nested too deeply"):
        list(open_purchases(str(lines)).records())


def test_check_reads_to_the_end_and_names_all(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(HEADER + GOOD + "ann,tea,1769860800,0,,\n" * 12 + GOOD)
    source = open_purchases(str(path))
    positions: list[Position] = []
    with pytest.raises(
        BadRowsError, match=r"12 rows cannot be used:\n(.*\n){10}and 2 more\n.*--skip-bad"
    ) as e:
        source.check(positions.append)
    assert e.value.bad.first[0] == BadRow(3, "quantity 0 is not between 1 and 1,000,000")
    assert [position.total for position in positions] == [path.stat().st_size]
    path.write_text(HEADER + GOOD)
    assert source.check() == 1


def test_standard_input_cannot_be_checked() -> None:
    with pytest.raises(ValueError, match="only once"):
        open_purchases("-").check()


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_missing_columns_are_named_with_those_found(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"sales.{ending}"
    text = {"csv": "customer,item_id, time\n1,2,3\n", "jsonl": '{"customer":1,"item_id":2," time":3}\n'}
    path.write_text(text[ending])
    expected = (
        rf"sales\.{ending}: purchases need the columns customer_id, timestamp;"
        r" found are 'customer', 'item_id', ' time'\. Rename"
    )
    with pytest.raises(SourceError, match=expected):
        open_purchases(str(path)).check()
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(SourceError, match="items need the column item_id; found are none"):
        open_items(str(empty)).check()


def test_a_column_twice(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("customer_id,item_id,timestamp,item_id\n")
    with pytest.raises(SourceError, match="item_id is there twice"):
        open_purchases(str(path)).check()


def test_damaged_files(tmp_path: Path) -> None:
    text = (HEADER + GOOD * 1000).encode()
    cases = {
        "cut.csv.gz": (gzip.compress(text)[:-20], "damaged or cut short"),
        "cut.csv.xz": (lzma.compress(text)[:-20], "damaged or cut short"),
        "other.csv.gz": (b"customer_id\n", "damaged or cut short"),
        "other.csv.xz": (b"customer_id\n", "damaged or cut short"),
        "other.parquet": (text, "cannot be read as Parquet"),
        "array.json": (b' [{"customer_id":1}]', "one JSON array.*jq -c"),
        "wide.csv": ("customer_id\n".encode("utf-16"), "UTF-16.*iconv"),
        "quotes.csv": (HEADER.encode() + b'ann,"tea" x,1,1,,\n', r"quotes\.csv:2: not CSV"),
        "open.csv": (HEADER.encode() + b'ann,"tea,1,1,,\n', r"open\.csv:2: not CSV"),
    }
    for name, (content, expected) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=expected):
            open_purchases(str(tmp_path / name)).check()


def test_a_file_without_lines_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.sources.lines.LONGEST_LINE_BYTES", 1 << 20)
    for name, content in (("x.csv", b"a" * (3 << 20)), ("x.jsonl", b" " * (3 << 20))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match="a line of more than 1 MiB"):
            open_purchases(str(tmp_path / name)).check()


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for name in ("absent.csv", "absent.parquet"):
        with pytest.raises(SourceError, match=r"absent\.\w+ cannot be opened: No such file or directory"):
            open_purchases(str(tmp_path / name)).check()


def test_a_bad_row_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = HEADER + "ann,tea,1769860800,0,,\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with pytest.raises(BadRowsError, match="-:2: quantity 0"):
        list(open_purchases("-").records())
