"""Files like those of real shops and their tools: what is read, what is refused, and the messages."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from alsobought.sources import BadRowsError, EventSource, SourceError, open_items, open_purchases
from alsobought.sources.events import messages_of
from state.settings import CountingSettings
from streams.messages.schema import EventMessage
from tests.events import as_event
from tests.oracles.counts import Oracle
from tests.state.machines import Run, check_counts

CASES = Path(__file__).parent / "cases"


def source_of(name: str) -> EventSource:
    return open_purchases(str(CASES / name))


def read(name: str) -> list[EventMessage]:
    return [event for batch in source_of(name).messages() for event in batch]


REFUSED = {
    "day-numbers.csv": (4, r"csv:2: timestamp '1' is 1970-01-01T00:00:01: before 1990.* Does it count days"),
    "excel-serial.csv": (
        2,
        r"csv:2: timestamp '45559.498' is 1970-01-01T12:39:19: before 1990.* If it is a spreadsheet's day"
        r" number, write it as 2024-09-24T11:57:07Z",
    ),
    "placeholder-1970.csv": (2, r"csv:2: timestamp '1970-01-01T00:00:00Z' is 1970.*before 1990(.|\n)*csv:5:"),
    "long-event-id.csv": (1, r"csv:2: event_id has 306 bytes, more than 256: 'order-999"),
    "long-profile.csv": (1, r"csv:2: profile_id has 306 bytes, more than 256: 'order-999"),
    "tab-in-event-id.csv": (
        2, r"csv:2: event_id has the control character U\+0009: 'order-7\\tline-1'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_a_worker_would_refuse_are_refused_with_their_place(name: str) -> None:
    count, reason = REFUSED[name]
    source = source_of(name)
    with pytest.raises(BadRowsError, match=reason) as error:
        source.check()
    assert error.value.bad.count == count
    kept = sum(map(len, source.messages(skip_bad=True)))
    rows = len((CASES / name).read_text().splitlines()) - 1
    assert (kept, source.bad.count) == (rows - count, count)


def test_times_ahead_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_768_000_000 * 10**9  # this is January 2026, and the file has June 2027
    monkeypatch.setattr(time, "time_ns", lambda: now)
    with pytest.raises(
        BadRowsError, match=r"2 rows(.|\n)*csv:2: .*2027-06-01T00:00:00: more than a day from now"
    ):
        source_of("future.csv").check()


def test_future_times_are_judged_by_the_clock_of_each_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("customer_id,item_id,timestamp\n" + "ann,tea,2026-02-01\nann,tea,2026-02-03\n")
    monkeypatch.setattr("alsobought.sources.lines.CHUNK_BYTES", 50)
    clock = iter([1_769_860_800 * 10**9, 1_770_033_600 * 10**9])  # the rows are two days apart
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    assert sum(map(len, open_purchases(str(path)).messages())) == 2


def test_utc_behind_a_time() -> None:
    assert [event.timestamp for event in read("bigquery-utc.csv")] == [
        1_727_179_026_000, 1_727_179_046_000, 1_727_179_047_000,
    ]  # fmt: skip


def test_numbers_with_a_point_are_the_whole_numbers_in_csv_and_parquet() -> None:
    for ending, bad in (("csv", 0), ("parquet", 1)):
        source = source_of(f"float-customers.{ending}")
        found = [event.customer_id for batch in source.messages(skip_bad=True) for event in batch]
        assert set(found) == {"17850", "13047"}
        assert source.bad.count == bad  # a row of the Parquet file has no customer
        assert f"such as 17850.0, were taken as whole numbers: 17850 (cells: {len(found)})" in str(
            source.notes
        )


def test_decimals_of_parquet_are_ids_and_numbers() -> None:
    assert [(e.customer_id, e.item_id, e.quantity, e.price) for e in read("decimals.parquet")] == [
        ("17850", "85123", 2, 2.55), ("13047", "71053", 1, None),
    ]  # fmt: skip


def test_binary_columns_of_parquet_are_text() -> None:
    assert [(e.customer_id, e.item_id) for e in read("binary.parquet")] == [("ann", "tea"), ("bob", "milk")]


@pytest.mark.parametrize("name", ["inner-quote.csv", "spark-escape.csv"])
def test_a_wrong_quote_costs_one_row(name: str) -> None:
    source = open_items(str(CASES / name))
    with pytest.raises(
        BadRowsError, match=r'csv:2: not CSV .*is written twice, ""(.|\n)*--skip-bad'
    ) as error:
        source.check()
    assert error.value.bad.count == 1
    titles = [item.title for batch in source.messages(skip_bad=True) for item in batch]
    assert titles == ["Desk lamp", "Cable, 2 m"]


def test_other_separators_are_found_where_only_one_makes_the_header() -> None:
    source = source_of("semicolon.csv")
    assert [(e.customer_id, e.item_id, e.price) for b in source.messages() for e in b] == [
        ("c1", "tea", None)
    ]
    assert "its columns are separated by semicolons" in str(source.notes)
    assert "price: cells that are no number" in str(source.notes)  # 12,50
    assert [(e.customer_id, e.item_id) for e in read("tabs.csv")] == [("c1", "tea")]


def test_a_separator_that_does_not_help_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("kunde;item_id;timestamp\n1;2;1769860800\n")
    with pytest.raises(
        SourceError,
        match=r"separated by semicolons, not commas; .* lack customer_id among 'kunde', .*--separator ';'",
    ):
        open_purchases(str(path)).check()


def test_a_time_order_that_is_newest_first_is_sent_oldest_first() -> None:
    def sent(name: str) -> list[tuple[str, int | str]]:
        with source_of(name).ordered() as batches:
            rows = [row for batch in batches for row in batch.to_pylist()]
        return [(row["item_id"], row["timestamp"]) for row in rows]

    newest_first = sent("newest-first.csv")
    assert newest_first == sent("oldest-first.csv")
    assert newest_first == sorted(newest_first, key=lambda row: row[1])


def test_before_and_after_do_not_depend_on_the_order_of_the_file() -> None:
    def counts(name: str, *, by_time: bool = True) -> tuple[int, int]:
        with source_of(name).ordered(by_time=by_time) as batches:
            events = [as_event(message) for batch in batches for message in messages_of(batch)]
        run, oracle = Run.over(events, CountingSettings()), Oracle(CountingSettings().window).feed(events)
        check_counts(run.items, run.partition_of, oracle)
        return oracle.after()["printer", "paper"], oracle.after()["paper", "printer"]

    assert counts("newest-first.csv") == counts("oldest-first.csv") == (20, 0)
    assert counts("newest-first.csv", by_time=False) == (0, 20)
