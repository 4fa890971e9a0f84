"""Related lists from messages and from machines are the same arrays, also while id mappings grow."""

from __future__ import annotations

import random

import numpy as np
import pytest

from recommending.related_lists import UNKNOWN, Entry, IdMapping, RelatedLists, landmark_weight
from state.memory.ids import Dictionary
from state.settings import CountingSettings
from tests.oracles.recommending import float32
from tests.recommending.world import Listed, listed, owners, put, seeded
from tests.state.machines import START_MS, Run


def contents(related: RelatedLists) -> dict[str, tuple[object, ...]]:
    """Return the contents of the related lists, by ids; F as of the landmark."""
    a, names = related.arrays, list(related.items)
    found: dict[str, tuple[object, ...]] = {}
    for owner, name in enumerate(names):
        n = int(a.length[owner])
        recent = a.recent[owner, :n].astype(np.float64) * a.to_landmark[owner]
        columns = (
            c.tolist() for c in (a.together[owner, :n], a.after[owner, :n], recent, a.expected[owner, :n])
        )
        entries = list(zip(related.items.ids(a.item[owner, :n].tolist()), *columns, strict=True))
        found[name] = (int(a.buyers[owner]), float(a.recent_mass[owner]), entries)
    return found


@pytest.mark.parametrize("k", [5, 30])
def test_messages_and_machines_give_the_same(k: int) -> None:
    """Lists grow, shrink and vanish; the related lists may keep fewer entries than the lists have."""
    settings = CountingSettings(window=10, list_length=20)
    by_message, by_machine = RelatedLists(k), RelatedLists(k)
    for name in ("unrelated", "numbers"):
        by_machine.items.number(name)
    events = seeded(91, customers=80, items=3000, events=8000, returns=0.3)
    run, several = Run.new(settings), 0
    machine = run.items[0]
    numbers = IdMapping(machine.items, by_machine.items, adding=True)
    for start in range(0, len(events), 800):
        run.apply(events[start : start + 800])
        lists = machine.rank(machine.waiting())
        which = machine.mark_published(lists)
        by_machine.put_lists(machine, lists, which, numbers)
        for i in which.tolist():
            put(by_message, owners(machine, lists)[i], listed(machine, lists, i))
            several += lists.length[i] == 0
        mine, theirs = contents(by_message), contents(by_machine)
        assert {name: theirs[name] for name in mine} == mine
        assert all(theirs[name] == (0, 0.0, []) for name in theirs.keys() - mine.keys())
        for related in (by_message, by_machine):
            assert related.arrays.total[0] == pytest.approx(related.arrays.recent_mass.sum(), rel=1e-9)
    assert several > 10
    assert len(by_message.items) > 1024  # the arrays have grown


def test_f_is_kept_as_of_the_landmark() -> None:
    related = RelatedLists(2)
    entries = [Entry("y", 7, 3, 2.5, 0.3), Entry("z", 5, 1, 0.5, 0.1), Entry("beyond", 1, 1, 1.0, 1.0)]
    put(related, "x", Listed(START_MS, 9, 4.0, entries))
    weight = landmark_weight(START_MS)
    assert contents(related) == {
        "x": (
            9,
            4 * weight,
            [("y", 7, 3, 2.5 * weight, float32(0.3)), ("z", 5, 1, 0.5 * weight, float32(0.1))],
        ),
        "y": (0, 0.0, []),
        "z": (0, 0.0, []),
    }
    later = START_MS + 30 * 86_400_000
    assert landmark_weight(later) == pytest.approx(np.e * weight)
    assert landmark_weight(START_MS // 60_000 * 60_000 + 59_999) == landmark_weight(
        START_MS // 60_000 * 60_000
    )
    put(related, "x", Listed(later, 0, 0.0, []))
    assert contents(related)["x"] == (0, 0.0, [])
    assert related.arrays.total[0] == 0.0


@pytest.mark.parametrize("adding", [False, True])
def test_mapping_while_both_grow(adding: bool) -> None:
    rng = random.Random(92)
    source, target = Dictionary(), Dictionary()
    mapping = IdMapping(source, target, adding=adding)
    names = [f"i{n}" for n in range(3000)]
    for _ in range(60):
        for dictionary in (source, target):
            for name in rng.sample(names, rng.randrange(60)):
                dictionary.number(name)
        numbers = mapping.up_to_date()
        assert numbers is mapping.numbers
        unknown = UNKNOWN if not adding else None
        expected = [target.numbers.get(name, unknown) for name in source]
        assert numbers.tolist() == expected
    assert len(source) > 1024
    assert (UNKNOWN in mapping.numbers) == (not adding)
