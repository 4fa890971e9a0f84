"""Lists that are ranked from changed entries are compared with lists ranked from all entries of a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from state.customers.events import Event
from state.items.lists import Lists
from state.items.machine import ItemMachine
from state.items.marks import FRESH, RANK, WHOLE
from state.items.ranking import PARTLY
from state.messages.deltas import decode, encode
from state.settings import SCORE_NAMES, CountingSettings, ScoreName
from tests.state.machines import Run, shop

MOST = 10**6

Grown = dict[int, dict[int, tuple[int, int]]]  # for each row and neighbour: the counts after and before


def counts(machine: ItemMachine) -> Grown:
    """Return all counts of a machine."""
    found: Grown = {}
    for row in range(machine.row_count):
        items, after, before, _ = (column.tolist() for column in machine.neighbours(row))
        found[row] = dict(zip(items, zip(after, before, strict=True), strict=True))
    return found


def entries(lists: Lists, i: int) -> dict[int, tuple[float, ...]]:
    """Return the numbers of list i by item, best first."""
    n = int(lists.length[i])
    columns = (lists.item, lists.score, lists.together, lists.after, lists.recent, lists.expected)
    return {item: tuple(rest) for item, *rest in zip(*(c[i, :n].tolist() for c in columns), strict=True)}


def ranked(machine: ItemMachine, rows: npt.NDArray[np.int64], *, whole: bool) -> Lists:
    """Rank rows, and note their lists as published."""
    lists = machine.rank(rows) if whole else machine.rank_fresh(rows)
    machine.mark_published(lists)
    return lists


@pytest.mark.parametrize("score", SCORE_NAMES)
@pytest.mark.parametrize(("returns", "seed"), [(0.0, 3), (0.1, 4)])
def test_ranking_grown_entries_gives_the_same_as_ranking_all(
    score: ScoreName, returns: float, seed: int
) -> None:
    settings = CountingSettings(window=8, list_length=12, score=score)
    events = shop(seed, 4_000, 90, 150, returns=returns, forgets=returns / 50)
    quick, slow = Run.new(settings), Run.new(settings)
    others = listed = kept = 0
    for start in range(0, len(events), 40):
        machine, reference = quick.items[0], slow.items[0]
        before = counts(machine)
        for run in (quick, slow):
            run.apply(events[start : start + 40])
        after = counts(machine)
        was = {row: set(machine.published.item[row, :n].tolist()) for row, n in _lengths(machine)}
        rows, left = machine.fresh(MOST)
        assert left == 0
        whole = {int(row) for row in rows if machine.tables.marks[row] & WHOLE}
        partly = machine.tables.partly.tolist()
        found, expected = ranked(machine, rows, whole=False), ranked(reference, rows, whole=True)
        assert not (machine.tables.marks[rows] & (RANK | FRESH | WHOLE)).any()
        for i, row in enumerate(rows.tolist()):
            mine, best = entries(found, i), entries(expected, i)
            assert len(mine) <= len(best) <= settings.list_length
            scores = [numbers[0] for numbers in mine.values()]
            assert scores == sorted(scores, reverse=True)
            if row in whole or partly[row] == PARTLY:
                assert mine == best
                continue
            for item in mine.keys() & best.keys():
                assert mine[item] == best[item]
            for item in best.keys() - mine.keys():  # it rose because others fell, or by itself
                assert after[row][item] == before[row].get(item)
                assert item not in was[row]
            listed, kept = listed + len(best), kept + len(mine.keys() & best.keys())
            others += row not in whole
    assert others > 500
    assert kept > 0.95 * listed  # of the best entries, in a shop where each step takes an hour
    everything = np.arange(quick.items[0].row_count)
    exact, expected = (run.items[0].rank(everything, exact=True) for run in (quick, slow))
    for i in everything.tolist():
        assert entries(exact, i) == entries(expected, i)


def _lengths(machine: ItemMachine) -> list[tuple[int, int]]:
    return list(enumerate(np.maximum(machine.published.length[: machine.row_count], 0).tolist()))


def test_rows_beyond_the_most_are_left_and_looked_at_whole() -> None:
    run = Run.over(shop(5, 800, 40, 90), CountingSettings(window=8, list_length=12))
    machine = run.items[0]
    marked = np.flatnonzero(machine.tables.marks[: machine.row_count] & FRESH)
    rows, left = machine.fresh(20)
    np.testing.assert_array_equal(rows, marked[:20])
    assert left == len(marked) - 20 > 0
    assert not (machine.tables.marks[: machine.row_count] & FRESH).any()
    assert (machine.tables.marks[marked[20:]] & WHOLE).all()
    assert np.isin(marked[20:], machine.waiting()).all()
    rows, left = machine.fresh(20)
    assert (len(rows), left) == (0, 0)


def test_more_than_a_machine_can_note_is_looked_at_whole() -> None:
    settings = CountingSettings(window=8, list_length=12)
    events = shop(6, 1_500, 40, 90)
    run = Run.over(events[:1_000], settings)
    machine = run.items[0]
    machine.rank(np.arange(machine.row_count))
    machine.fresh(MOST)
    touched = machine.tables.touched
    machine.tables = machine.tables._replace(touched=touched._replace(pairs=touched.pairs[:7]))
    run.apply(events[1_000:])
    assert machine.tables.touched.n[0] == 7
    rows, _ = machine.fresh(MOST)
    noted = {int(pair) >> 32 for pair in touched.pairs[:7].tolist()}
    assert all(machine.tables.marks[row] & WHOLE for row in set(rows.tolist()) - noted)
    before = entries(machine.peek(rows), 0)
    assert before == entries(machine.rank_fresh(rows), 0)


@pytest.mark.parametrize("batch", [1, 40])
def test_an_item_that_is_new_is_in_the_lists_of_other_partitions_at_once(batch: int) -> None:
    """This happens before its owner has published how popular it is."""
    run = Run.over(shop(7, 1_200, 60, 90), CountingSettings(window=8, list_length=40), partitions=2)
    for machine in run.items:
        machine.mark_published(machine.rank(np.arange(machine.row_count), exact=True))
        machine.fresh(MOST)
    now = max(machine.watermark_ms for machine in run.items)
    tables = run.items[0].tables
    roomy = np.flatnonzero(tables.threshold[: run.items[0].row_count] < 0.3)[-8:]
    known = [run.items[0].items.id(int(tables.item_of[row])) for row in roomy]
    assert len(known) == 8
    new = next(name for name in (f"new-{n}" for n in range(99)) if run.partition_of(name) == 1)
    others = [Event(f"other-{n}", f"i{n}", now) for n in range(batch - 1)]
    events = [Event("somebody", name, now) for name in known] + [*others, Event("somebody", new, now)]
    source = run.customers[0]
    here, there = source.apply(source.batch(events)).deltas
    for message in here:
        run.items[0].apply(decode(encode(message)))  # no machine shares anything
    machine = run.items[0]
    rows, _ = machine.fresh(MOST)
    lists = machine.rank_fresh(rows)
    number = machine.items.number(new)
    found = {int(row): entries(lists, i) for i, row in enumerate(rows.tolist())}
    holding = {row for row, one in found.items() if number in one}
    assert holding >= set(roomy.tolist())
    for message in there:
        run.items[1].apply(decode(encode(message)))
    run.sharing.share()
    exact = machine.rank(roomy, exact=True)
    for i, row in enumerate(roomy.tolist()):
        assert found[row][number][0] == pytest.approx(entries(exact, i)[number][0], rel=0.05)


def test_expected_popularity_is_forgotten_once_lists_are_to_be_exact() -> None:
    """This holds also after a ranking that kept it, and where the owner has published nothing since."""
    run = Run.over(shop(7, 400, 30, 60), CountingSettings(window=8, list_length=12), partitions=2)
    machine = run.items[0]
    rows = np.arange(machine.row_count)
    machine.rank(rows, exact=True)
    known = machine.items.id(int(machine.tables.item_of[0]))
    new = next(name for name in (f"new-{n}" for n in range(99)) if run.partition_of(name) == 1)
    events = [Event("somebody", name, machine.watermark_ms) for name in (known, new)]
    for message in run.customers[0].apply(run.customers[0].batch(events)).deltas[0]:
        machine.apply(decode(encode(message)))
    number, popularity = machine.items.number(new), machine.tables.popularity
    machine.take_in(exact=False)
    assert (popularity.buyers[number], popularity.recent[number]) == (1, 1)
    machine.rank(rows, exact=True)
    assert (popularity.buyers[number], popularity.recent[number]) == (0, 0)
