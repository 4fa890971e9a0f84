"""The log of repeat purchases is compared with plain counters of what is taken back from which day."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest

from state.customers import histories as hs
from state.customers import purchase_logs as pl
from state.customers.history_memory import close_gaps

DAY_MS = pl.DAY_MS
FIRST_DAY = 17_000


def _counted(records: npt.NDArray[np.uint64], since: int) -> dict[int, Counter[int]]:
    """Return by item the purchases of each day from `since` on, and those before it as day -1."""
    found: dict[int, Counter[int]] = {}
    for record in records:
        day = pl.day_of(record)
        days = found.setdefault(pl.item_of(record), Counter())
        days[day if day >= since else -1] += pl.purchases_of(record)
    return found


def _expected(days: dict[int, list[int]], since: int) -> dict[int, Counter[int]]:
    return {item: Counter(d if d >= since else -1 for d in of_item) for item, of_item in days.items()}


@pytest.mark.parametrize(("items", "step_days"), [(2, 0.05), (6, 0.4), (40, 0.1), (300, 0.01), (5, 9.0)])
def test_days_of_the_window_are_kept_and_older_ones_counted(items: int, step_days: float) -> None:
    rng = random.Random(items)
    h = hs.new_histories(3)
    plain: list[dict[int, list[int]]] = [{}, {}, {}]
    newest, now = [0, 0, 0], FIRST_DAY * DAY_MS
    out, longest = np.empty(4000, np.uint64), 0
    for step in range(3000):
        now += int(rng.random() * step_days * DAY_MS)
        customer, item, time_ms = rng.randrange(3), rng.randrange(items), now - rng.randrange(5 * DAY_MS)
        dice = rng.random()
        if dice < 0.01:
            hs.forget(h, np.array([customer]))
            plain[customer].clear()
        elif dice < 0.05:
            n = pl.take(h, customer, item, out, 7)
            since = newest[customer] - pl.DAYS + 1
            taken = {item: plain[customer].pop(item)} if item in plain[customer] else {}
            assert _counted(out[7:n], since) == _expected(taken, since)
        else:
            pl.note(h, customer, item, time_ms)
            newest[customer] = max(newest[customer], time_ms // DAY_MS)
            plain[customer].setdefault(item, []).append(time_ms // DAY_MS)
        if step % 100 == 0:
            close_gaps(h)
            longest = max(longest, int(h.log_length.max()))
            for c, days in enumerate(plain):
                since = newest[c] - pl.DAYS + 1
                assert _counted(pl.read_log(h, c), since) == _expected(days, since)
    assert longest <= items * (pl.DAYS + 1) + pl.LOGS[-1] // 2
    if step_days == 9.0:
        assert longest <= 3 * 2 * items  # old purchases are one record an item, however long this continues


def test_a_day_of_more_purchases_than_a_record_counts() -> None:
    h, out = hs.new_histories(1), np.empty(10, np.uint64)
    for _ in range(pl.MOST_PURCHASES + 5):
        pl.note(h, 0, 4, FIRST_DAY * DAY_MS)
    assert [pl.purchases_of(r) for r in pl.read_log(h, 0)] == [pl.MOST_PURCHASES, 5]
    for day in range(40, 60):  # the first day joins the old ones, in two records
        pl.note(h, 0, 4, (FIRST_DAY + day) * DAY_MS)
    records = pl.read_log(h, 0)
    assert sum(pl.purchases_of(r) for r in records) == pl.MOST_PURCHASES + 25
    assert sum(pl.purchases_of(r) for r in records if pl.day_of(r) < FIRST_DAY + 40) == pl.MOST_PURCHASES + 5
    assert pl.take(h, 0, 5, out, 0) == 0


def test_an_item_s_records_leave_those_of_others_and_nothing_behind() -> None:
    h, out = hs.new_histories(1), np.full(8, 7, np.uint64)
    for item, day in ((3, 0), (4, 0), (3, 1), (3, 1), (5, 2)):
        pl.note(h, 0, item, (FIRST_DAY + day) * DAY_MS)
    assert pl.take(h, 0, 3, out, 1) == 3
    assert [(pl.item_of(r), pl.day_of(r), pl.purchases_of(r)) for r in out[1:3]] == [
        (3, FIRST_DAY, 1), (3, FIRST_DAY + 1, 2),
    ]  # fmt: skip
    assert [pl.item_of(r) for r in pl.read_log(h, 0)] == [4, 5]
    start = int(h.log_start[0])
    assert not h.logs[start + 2 : start + int(pl.LOGS[h.log_size[0]])].any()
    assert pl.take(h, 0, -1, out, 0) == 2
    assert not h.logs[start : start + 4].any()
    assert len(pl.read_log(h, 0)) == 0
