"""Lists are compared with the oracle's for every score; tests of entering, leaving and publishing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from state.customers.actions import Action
from state.customers.events import Event
from state.items.listing import Related
from state.items.lists import CHANGED, SAME
from state.items.machine import ItemMachine
from state.messages.deltas import Availability, Source
from state.settings import SCORE_NAMES, CountingSettings, ScoreName
from tests.oracles.counts import Oracle
from tests.state.machines import START_MS, Run, shop

# relative error of E: splitting one buyer errs up to 0.51 % (test_opportunity), and the grid adds its own
EXPECTED_ERROR = 0.0055
CATALOGUE = Source(1, 0)


def score_error(score: str, n: int, e: float, f: float, recent: int) -> float:
    """Return how far E's error, and rounding to 24 bits, can move a score."""
    moved = EXPECTED_ERROR * e
    if score == "raw" or score == "flawed":
        error = 0.0
    elif score == "difference":
        error = moved
    elif score == "g":
        error = 2 * moved * abs(n / e - 1) + 2 * n * EXPECTED_ERROR**2
    else:
        z = moved / math.sqrt(e + 20) * (1 + abs(n - e) / (2 * (e + 20)))
        z_f = moved / math.sqrt(5) * (1 + abs(f - e) / 10)  # E_F is at most E
        error = z if score == "corrected" else (z / 2 + z_f) * math.sqrt(recent + 0.5)
    return error + 1e-6 * (1 + n + e)


def check_lists(run: Run, oracle: Oracle, score: str, length: int) -> int:
    """Compare every list; return how many entries were compared."""
    lists, recent, compared = oracle.lists(score, 10**6), oracle.recent(), 0
    for machine in run.items:
        for name in machine.items:
            if run.partition_of(name) != machine.partition:
                continue
            found, every = machine.related(name), lists.get(name, [])
            errors = {y: 0.0 for y, _, _ in every}
            exact = {y: (value, e) for y, value, e in every}
            for entry in found:
                errors[entry.item_id] = score_error(
                    score, entry.together, entry.expected, entry.recent, recent[entry.item_id]
                )
            # an entry that scores barely above zero may be on either side of it
            certain = sum(value > score_error(score, 1, e, 1.0, recent[y]) for y, value, e in every)
            assert min(certain, length) <= len(found) <= length
            for entry in found:
                if entry.item_id not in exact:
                    assert entry.score <= errors.get(entry.item_id, 0) + 0.05
                    continue
                value, e = exact[entry.item_id]
                assert entry.expected == pytest.approx(e, rel=EXPECTED_ERROR, abs=1e-9)
                assert abs(entry.score - value) <= errors[entry.item_id], (name, entry, value)
                compared += 1
            values = [exact[entry.item_id][0] for entry in found if entry.item_id in exact]
            slack = max(errors.values(), default=0.0)
            for better, worse in itertools.pairwise(values):
                assert better >= worse - 2 * slack, (name, values)
            listed = {entry.item_id for entry in found}
            if len(found) == length:
                best_left = max((value for y, value, _ in every if y not in listed), default=0.0)
                assert values[-1] >= best_left - 2 * slack - 1e-6
    return compared


@pytest.mark.parametrize("score", SCORE_NAMES)
@pytest.mark.parametrize(("window", "length"), [(5, 10), (50, 40)])
def test_lists_are_the_oracles(score: ScoreName, window: int, length: int) -> None:
    events = shop(31, 2500, 60, 150)
    settings = CountingSettings(window=window, score=score, list_length=length)
    run = Run.over(events, settings, partitions=2, sources=2)
    assert check_lists(run, Oracle(window).feed(events), score, length) > 500


def test_an_entry_says_what_the_oracle_says() -> None:
    events = shop(32, 2000, 40, 100)
    run = Run.over(events, CountingSettings(window=5))
    oracle = Oracle(5).feed(events)
    after, decayed = oracle.after(), oracle.decayed()
    age = math.exp((26_297_280 - oracle.watermark_ms() // 60_000) / (30 * 24 * 60))
    for entry in run.items[0].related("i1"):
        pair = "i1", entry.item_id
        assert entry.after == after[pair]
        assert entry.together == after[pair] + after[pair[::-1]]
        # a pair newer than the watermark's minute counts as if it were of now
        assert entry.recent == pytest.approx(decayed[pair] * age, rel=1e-6)


def test_the_length_is_respected() -> None:
    events = shop(33, 1500, 30, 100)
    longest = Run.over(events, CountingSettings(list_length=1000)).items[0]
    for length in (1, 2, 7):
        run = Run.over(events, CountingSettings(list_length=length)).items[0]
        for name in ("i1", "i2", "i3"):
            assert run.related(name) == longest.related(name)[:length]


def test_ties_go_to_the_item_first_seen() -> None:
    names = ["milk", "bread", "tea", "eggs"]
    events = [Event(f"{name}-buyer", item, START_MS) for name in names for item in ("salt", name)]
    for score in SCORE_NAMES:
        machine = Run.over(events, CountingSettings(score=score)).items[0]  # type: ignore[arg-type]
        listed = [entry.item_id for entry in machine.related("salt")]
        assert listed in (names, []), score  # the score "flawed"; everybody buys salt


def test_unavailable_items_leave_every_list_and_return() -> None:
    run = Run.over(shop(34, 1500, 30, 60), CountingSettings(list_length=1000), partitions=2)

    def lists() -> dict[str, list[Related]]:
        return {
            n: m.related(n) for m in run.items
            for n in m.items.ids(m.tables.item_of[: m.row_count].tolist())
        }  # fmt: skip

    def say(name: str, available: bool, offset: int) -> None:
        for machine in run.items:
            flags = np.array([available], np.uint8)
            machine.apply_availability(Availability(CATALOGUE, offset, offset + 1, [name], flags))

    before = lists()
    holders = {name for name, entries in before.items() if "i2" in {e.item_id for e in entries}}
    assert len(holders) > 3
    for machine in run.items:
        machine.rank(np.arange(machine.row_count))
    say("i2", False, 0)
    waiting = {m.items.id(int(m.tables.item_of[row])) for m in run.items for row in m.waiting()}
    assert holders <= waiting  # these rows must be ranked anew at once
    assert lists() == {n: [e for e in entries if e.item_id != "i2"] for n, entries in before.items()}
    say("i2", True, 1)
    assert lists() == before


def test_an_item_gone_before_it_was_ever_bought() -> None:
    machine = ItemMachine()
    flags = np.array([0, 1], np.uint8)
    machine.apply_availability(Availability(CATALOGUE, 0, 1, ["tea", "milk"], flags))
    assert list(machine.items) == ["tea"]  # available items need not be known
    run = Run.new(CountingSettings())
    run.items[0] = machine
    run.apply([Event(f"c{n}", item, START_MS) for n in range(3) for item in ("milk", "tea", "bread")])
    assert [entry.item_id for entry in machine.related("milk")] == ["bread"]


def test_only_changed_lists_are_worth_publishing() -> None:
    events = shop(35, 2000, 40, 80)
    run = Run.over(events, CountingSettings(list_length=10))
    machine = run.items[0]
    rows = np.arange(machine.row_count)
    first = machine.rank(rows)
    assert len(machine.mark_published(first)) == np.count_nonzero(first.length)
    again = machine.rank(rows)
    assert (again.difference == SAME).all()
    assert len(machine.mark_published(again)) == 0
    assert len(machine.waiting()) == 0

    late = events[-1].time_ms + 1
    run.apply([Event(f"new{n}", item, late) for n in range(40) for item in ("i1", "i79")])
    changed = machine.rank(machine.waiting())
    names = [machine.items.id(int(machine.tables.item_of[row])) for row in changed.row]
    assert changed.difference[names.index("i1")] == CHANGED
    machine.mark_published(changed)
    assert (machine.rank(changed.row).difference == SAME).all()


def test_an_item_that_comes_and_goes_in_a_replay_is_published_as_without_a_list() -> None:
    """Its list was published before the crash; the replay makes and empties its row between two refreshes."""
    bought = [Event("ann", "tea", START_MS), Event("ann", "milk", START_MS)]
    for replayed_to, published in ((0, 0), (10, 2)):
        run = Run.new(CountingSettings())
        run.items[0].replayed_to = replayed_to
        run.apply([*bought, Event("ann", "", START_MS, action=Action.FORGET)])
        lists = run.items[0].rank(run.items[0].waiting(), exact=True)
        assert lists.length.tolist() == [0, 0]
        assert len(run.items[0].mark_published(lists, exact=True)) == published


def test_scores_within_the_tolerance_are_not_published_unless_asked_for() -> None:
    events = [Event(f"c{n}", item, START_MS) for n in range(50) for item in ("tea", "milk", "bread")]
    run = Run.over(events, CountingSettings(score="raw", score_tolerance=0.05))
    machine = run.items[0]
    rows = np.arange(machine.row_count)
    machine.mark_published(machine.rank(rows))
    run.apply([Event("one more", item, START_MS) for item in ("tea", "milk", "bread")])
    lists = machine.rank(rows)  # it has 51 instead of 50
    assert len(machine.mark_published(lists)) == 0
    assert len(machine.mark_published(machine.rank(rows), exact=True)) == 3
    run.apply([Event(f"more{n}", item, START_MS) for n in range(5) for item in ("tea", "milk", "bread")])
    assert len(machine.mark_published(machine.rank(rows))) == 3


def test_a_view_changes_nothing() -> None:
    machine = Run.over(shop(36, 500, 20, 40), CountingSettings(list_length=5)).items[0]
    waiting, threshold = machine.waiting().tolist(), machine.tables.threshold.tolist()
    for name in machine.items:
        machine.related(name)
    assert machine.waiting().tolist() == waiting
    assert machine.tables.threshold.tolist() == threshold
