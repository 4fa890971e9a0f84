"""Events are sorted by time, in memory and on disk, and a file that was published before is recognised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from alsobought.sources import BadRowsError, SourceError, numbered, open_purchases, open_synthetic
from alsobought.sources.events import batch_of
from alsobought.sources.ordering import Sorted
from alsobought.sources.synthetic import Shape
from streams.kinds import BOUGHT, WATCHED
from streams.messages.schema import EventMessage, decode_event
from tests.events import purchases

HEADER = "customer_id,item_id,timestamp\n"
NOON = 1_769_860_800


def _batches(times: list[int], size: int) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(times), size):
        yield batch_of(
            EventMessage(customer_id="ann", item_id=str(n), timestamp=times[n])
            for n in range(start, min(start + size, len(times)))
        )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("distinct", [1, 2, 5, 1000])
@pytest.mark.parametrize("run_bytes", [1, 5_000, 20_000, 1 << 30])
def test_order_is_that_of_a_stable_sort(
    distinct: int, run_bytes: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.sources.ordering.BATCH_ROWS", 7)
    rng = np.random.default_rng(distinct + run_bytes)
    for times in (
        rng.integers(0, distinct, 500),
        np.sort(rng.integers(0, distinct, 500)),
        np.arange(500)[::-1],
    ):
        expected = np.argsort(times, kind="stable").astype(str).tolist()
        with Sorted("sales", _batches(times.tolist(), 11), run_bytes=run_bytes) as found:
            assert found.rows == 500
            got = [batch.column("item_id").to_pylist() for batch in found]
            assert [item for items in got for item in items] == expected
            assert all(len(items) <= 500 for items in got)
        assert list(folder.iterdir()) == []


def test_events_in_order_are_passed_on_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_sort(*_args: object, **_options: object) -> None:
        raise AssertionError("sorted")

    monkeypatch.setattr("numpy.argsort", no_sort)
    for run_bytes in (1, 1 << 30):
        with Sorted("sales", _batches([1, 1, 2, 3, 3], 2), run_bytes=run_bytes) as found:
            assert [item for batch in found for item in batch.column("item_id").to_pylist()] == list("01234")


def test_no_room_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.ipc.new_file", full)
    with (
        pytest.raises(
            SourceError, match=r"sales is sorted .* no room for it \(No space left.*TMPDIR.*--unsorted"
        ),
        Sorted("sales", _batches([2, 1], 1), run_bytes=1),
    ):
        raise AssertionError("entered")


def test_files_are_sent_in_order_of_time_and_bad_rows_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text(HEADER + f"ann,c,{NOON + 2}\nann,a,{NOON}\nann,x,\nann,b,{NOON}\nann,,{NOON}\n")
    source = open_purchases(str(path))

    def sent(by_time: bool) -> list[str | None]:
        with source.ordered(skip_bad=True, by_time=by_time) as batches:
            return [item for batch in batches for item in batch.column("item_id").to_pylist()]

    assert sent(by_time=True) == ["a", "b", "c"]
    assert sent(by_time=False) == ["c", "a", "b"]
    assert source.bad.count == 2
    for by_time in (True, False):
        with (
            pytest.raises(BadRowsError, match=r"2 rows cannot be used:\n.*:4: timestamp is.*\n.*:6: item_id"),
            source.ordered(by_time=by_time),
        ):
            raise AssertionError("entered")


def test_messages_are_those_of_their_columns() -> None:
    events = purchases(3, customers=20, items=20, events=300, returns=0.2)
    events += [
        EventMessage(
            customer_id='a"\\b', item_id="é/\u2028😀", timestamp=1, price=1e-7, basket_id="\t\n\x01"
        ),
        EventMessage(customer_id="ann", timestamp=2, type="forget", profile_id="kid", event_id="e'1"),
    ]
    batch = batch_of(events)
    records = [record for some in numbered([batch.slice(0, 50), batch.slice(50)], None) for record in some]
    assert [(key, decode_event(value)) for key, value in records] == [
        (event.customer_id.encode(), event) for event in events
    ]
    named = [record for some in numbered([batch.slice(0, 50), batch.slice(50)], 'a"b') for record in some]
    for place, (_, value) in enumerate(named):
        assert json.loads(value)["source"] == 'a"b'
        assert decode_event(value).sequence == place
    assert list(numbered([], "x")) == []


def test_the_same_content_is_recognised_under_any_name(tmp_path: Path) -> None:
    text = HEADER + f"ann,tea,{NOON}\n"
    ids = {}
    for name, content in {"a.csv": text, "b.csv": text, "c.csv": text + f"bob,tea,{NOON}\n"}.items():
        (tmp_path / name).write_text(content)
        ids[name] = open_purchases(str(tmp_path / name)).content_id(by_time=True)
    assert ids["a.csv"] == ids["b.csv"] != ids["c.csv"]
    assert all(len(found) >= 12 for found in ids.values())
    a = open_purchases(str(tmp_path / "a.csv"))
    assert a.content_id(by_time=False) != ids["a.csv"]
    assert open_purchases("complete-journey").content_id(by_time=True)
    shapes = [Shape(seed=1), Shape(seed=1), Shape(seed=2), Shape(seed=1, items=99)]
    known = [open_synthetic(shape).content_id(by_time=True) for shape in shapes]
    assert known[0] == known[1]
    assert len(set(known)) == 3
    with pytest.raises(ValueError, match="only once"):
        open_purchases("-").content_id(by_time=True)


def test_kinds_have_ids_of_their_own(tmp_path: Path) -> None:
    from alsobought.sources import open_events

    path = tmp_path / "a.csv"
    path.write_text(HEADER + f"ann,tea,{NOON}\n")
    ids = {open_events(str(path), kind).content_id(by_time=True) for kind in (BOUGHT, WATCHED)}
    assert len(ids) == 2


def test_sequences_do_not_depend_on_how_a_file_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    path = tmp_path / "sales.csv"
    rows = [f"c{n},i{n % 7},{NOON + int(rng.integers(0, 40))}\n" for n in range(400)]
    path.write_text(HEADER + "".join(rows))

    def sent() -> list[bytes]:
        with open_purchases(str(path)).ordered() as batches:
            return [value for some in numbered(batches, "s") for _, value in some]

    expected = sent()
    monkeypatch.setattr("alsobought.sources.lines.CHUNK_BYTES", 64)
    assert sent() == expected
    monkeypatch.setattr("alsobought.sources.source.Sorted", lambda name, it: Sorted(name, it, run_bytes=999))
    monkeypatch.setattr("alsobought.sources.ordering.BATCH_ROWS", 10)
    assert sent() == expected
