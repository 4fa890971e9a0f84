"""Tests of pipes, byte order marks, line ends, encodings and wrong quotes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from alsobought.sources import BadRowsError, SourceError, open_items, open_purchases
from alsobought.sources.csv_reader import LONGEST_ROW_CHARACTERS
from alsobought.sources.id_list import read_ids

HEADER = "customer_id,item_id,timestamp"
ROW = "ann,tea,1769860800"


def _written(path: Path, content: bytes) -> threading.Thread:
    """Write to a pipe, a single byte first."""

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(content[:1])
            pipe.write(content[1:])

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("name", ["pipe", "sales.csv"])
@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\n{ROW}\n{ROW}\n",
        f"\ufeff{HEADER}\r\n{ROW}\r\n{ROW}",
        f"\ufeff{HEADER}\r{ROW}\r{ROW}",
    ],
)  # fmt: skip
def test_pipes_by_name(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    thread = _written(path, content.encode())
    source = open_purchases(str(path))
    assert not source.repeatable
    assert [event.item_id for batch in source.messages() for event in batch] == ["tea", "tea"]
    thread.join(10)


def test_json_lines_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = _written(path, b'\xef\xbb\xbf{"customer_id":"ann","item_id":"tea","timestamp":1769860800}\r\n')
    assert [event.item_id for batch in open_purchases(str(path)).messages() for event in batch] == ["tea"]
    thread.join(10)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_mark_of_byte_order_in_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"sales.{ending}"
    json = '{"customer_id":"ann","item_id":"tea","timestamp":1769860800}'
    path.write_bytes(b"\xef\xbb\xbf" + (f"{HEADER}\r\n{ROW}\r\n" if ending == "csv" else json).encode())
    assert [event.customer_id for batch in open_purchases(str(path)).messages() for event in batch] == ["ann"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (f"{HEADER}\n{ROW}\n".encode("utf-16"), "is UTF-16. Save it as UTF-8"),
        (
            f"{HEADER}\n{ROW}\n".encode("utf-16-le"),
            "must be text in UTF-8, but has zero bytes. Convert UTF-16",
        ),
        (b"\x1f\x8b\x08\x00rest", r"give a compressed file its ending, \.gz or \.xz"),
    ],
)
def test_bytes_that_are_not_utf8_are_reported(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=expected):
        open_purchases(str(path)).check()


def test_cells_in_another_encoding_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_bytes(f"{HEADER}\n{ROW}\n".encode() + "ann,café,1769860800\n".encode("latin-1"))
    with pytest.raises(BadRowsError, match=r"csv:3: item_id .* is not UTF-8\. Save the file as .*iconv"):
        open_purchases(str(path)).check()


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_separator_may_be_said(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "items.csv"
    path.write_text(f"item_id{separator}title\na{separator}Tea, green\n")
    found = [
        item for given in (None, separator) for b in open_items(str(path), given).messages() for item in b
    ]
    assert [(item.item_id, item.title) for item in found] == [("a", "Tea, green")] * 2


def test_a_first_line_that_names_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("sep=;\r\nitem_id;title\r\na;Tea\r\n")
    source = open_items(str(path))
    assert [item.title for batch in source.messages() for item in batch] == ["Tea"]
    path.write_text("sep=;\r\nitem_id;title\r\n;Tea\r\n")
    with pytest.raises(BadRowsError, match=r"csv:3: item_id is missing"):
        source.check()


@pytest.mark.parametrize("chunk_bytes", [5, 64, 1 << 18])
def test_wrong_quotes_cost_the_rows_that_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr("alsobought.sources.lines.CHUNK_BYTES", chunk_bytes)
    path = tmp_path / "items.csv"
    rows = [
        "item_id,title", 'a,"one', 'two"', "", 'b,"24" wide', 'c,"open', "d,plain", 'e,"closed, later"',
        'f,24" loose', 'g,"last one is open', "h,end", "",
    ]  # fmt: skip
    path.write_text("\n".join(rows))
    source = open_items(str(path))
    found = [(item.item_id, item.title) for batch in source.messages(skip_bad=True) for item in batch]
    assert found == [
        ("a", "one\ntwo"), ("d", "plain"), ("e", "closed, later"), ("f", '24" loose'), ("h", "end"),
    ]  # fmt: skip
    assert [row.number for row in source.bad.first] == [5, 6, 10]


def test_a_quote_left_open_in_a_long_file_costs_one_row(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    rows = "".join(f"i{n},a title of some length\n" for n in range(3 * LONGEST_ROW_CHARACTERS // 25))
    path.write_text(f'item_id,title\nx,"open\n{rows}')
    source = open_items(str(path))
    assert sum(map(len, source.messages(skip_bad=True))) == rows.count("\n")
    assert [row.number for row in source.bad.first] == [2]


def test_lists_of_ids(tmp_path: Path) -> None:
    path = tmp_path / "customers.txt"
    path.write_bytes("\ufeffann\r\n\r\nb c \r\n  \r\né".encode())
    assert list(read_ids(str(path))) == ["ann", "b c ", "é"]
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = _written(pipe, b"ann\nbob\n")
    assert list(read_ids(str(pipe))) == ["ann", "bob"]
    thread.join(10)
    path.write_bytes(b"ann\ncaf\xe9\n")
    with pytest.raises(SourceError, match=r"customers\.txt:2: .*is not UTF-8\. Save the file as UTF-8"):
        list(read_ids(str(path)))


def test_a_catalogue_entry_that_is_too_long_for_a_message(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text(f"item_id,title\na,{'x' * 70_000}\nb,{'y' * 60_000}\n17.0,z\n")
    source = open_items(str(path))
    found = [item.item_id for batch in source.messages(skip_bad=True) for item in batch]
    assert found == ["b", "17"]
    assert "make a message of 70,0" in source.bad.first[0].reason
    assert "item_id: numbers written with decimals" in str(source.notes)
