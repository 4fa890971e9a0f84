"""Tests of the board without Kafka: weights are averaged by training steps, and lists come from messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recommending.catalogue import Catalogue
from recommending.ranker import Ranker
from recommending.related_lists import IdMapping, RelatedLists
from state.settings import CountingSettings
from streams.kinds import BOUGHT, BUILT_IN
from streams.messages.schema import encode
from streams.recommending.board import Board, Boards
from streams.recommending.messages import RankerState
from tests.recommending.test_related_lists import contents
from tests.recommending.world import listed, owners, seeded
from tests.state.machines import Run

NAMES = ("new", "all")


def board(k: int = 20) -> Board:
    return Board(BOUGHT, RelatedLists(k), Catalogue())


def weigh(ranker: Ranker, value: float) -> Ranker:
    """Give all weights this value, with matching squares and variances."""
    ranker.weights[:], ranker.squares[:], ranker.variance[:] = value, 10 * value, 100 * value
    return ranker


def answer(partition: int, value: float, cases: float) -> RankerState:
    """Return what a partition with weights of this value has published."""
    states = {
        name: weigh(ranker, value).state() | {"cases": cases} for name, ranker in board().rankers.items()
    }
    return RankerState(kind="bought", partition=partition, rankers=states)


def training_steps(n: float) -> dict[str, float]:
    return dict.fromkeys(NAMES, n)


def values_of(some: Board) -> set[tuple[float, ...]]:
    """Return the distinct (weight, squares, variance)."""
    return {
        tuple(round(float(v), 6) for v in values)
        for ranker in some.rankers.values()
        for values in zip(ranker.weights, ranker.squares, ranker.variance, strict=True)
    }


def test_partitions_are_weighted_by_their_training_steps() -> None:
    ours = board()
    for ranker in ours.rankers.values():
        weigh(ranker, 1.0).steps = 77.0
    ours.learnt = {2: answer(2, 2.0, 30.0), 3: answer(3, 4.0, 60.0)}
    ours.take_in({0: training_steps(4.0), 1: training_steps(6.0)})
    mean = (10 * 1.0 + 30 * 2.0 + 60 * 4.0) / 100
    assert values_of(ours) == {(mean, 10 * mean, 100 * mean)}
    assert {ranker.steps for ranker in ours.rankers.values()} == {77.0}  # these are its own


def test_reports_of_partitions_here_do_not_count_twice() -> None:
    ours = board()
    for ranker in ours.rankers.values():
        weigh(ranker, 1.0)
    ours.learnt = {0: answer(0, 9.0, 1e6), 1: answer(1, 9.0, 1e6)}
    ours.take_in({0: training_steps(4.0), 1: training_steps(6.0)})
    assert values_of(ours) == {(1.0, 10.0, 100.0)}
    ours.learnt[2] = answer(2, 3.0, 10.0)
    ours.take_in({0: training_steps(4.0), 1: training_steps(6.0)})
    assert values_of(ours) == {(2.0, 20.0, 200.0)}


def test_a_ranker_that_has_learnt_nothing_takes_the_weights_of_others() -> None:
    ours = board()
    ours.learnt = {2: answer(2, 2.0, 30.0)}
    ours.take_in({0: training_steps(0.0)})
    assert values_of(ours) == {(2.0, 20.0, 200.0)}
    ours = board()
    before = values_of(ours)
    ours.take_in({0: training_steps(0.0)})  # nobody else has published anything
    assert values_of(ours) == before


def test_a_ranker_that_others_do_not_have_stays() -> None:
    ours = board()
    for ranker in ours.rankers.values():
        weigh(ranker, 1.0)
    state = answer(2, 3.0, 10.0)
    del state.rankers["all"]
    ours.learnt = {2: state}
    ours.take_in({0: training_steps(10.0)})
    assert set(ours.rankers["new"].weights.round(9)) == {2.0}
    assert set(ours.rankers["all"].weights) == {1.0}


def message(item_id: str, one: Any) -> bytes:
    """Return the message of a list."""
    related = [
        {"item_id": e.item_id, "score": 1.0, "together": e.together, "after": e.after, "recent": e.recent,
         "expected": e.expected}
        for e in one.entries
    ]  # fmt: skip
    head = {"item_id": item_id, "kind": "bought", "as_of": one.as_of_ms, "version": 1, "mass": 1}
    return encode({**head, "buyers": one.buyers, "recent_mass": one.recent_mass, "related": related})


def test_lists_from_messages_are_those_of_machines() -> None:
    by_message, by_machine = board(), board()
    run = Run.new(CountingSettings(window=10, list_length=20))
    machine = run.items[0]
    numbers = IdMapping(machine.items, by_machine.related.items, adding=True)
    events = seeded(5, customers=30, items=60, events=900, returns=0.2)
    for start in range(0, len(events), 300):
        run.apply(events[start : start + 300])
        lists = machine.rank(machine.waiting())
        which = machine.mark_published(lists)
        by_machine.related.put_lists(machine, lists, which, numbers)
        for i in which.tolist():
            owner, one = owners(machine, lists)[i], listed(machine, lists, i)
            by_message.lists.take([(owner.encode(), message(owner, one))])
        mine, theirs = contents(by_message.related), contents(by_machine.related)
        assert len(mine) > 40
        assert {name: theirs[name] for name in mine} == mine
    name = max(mine, key=lambda name: len(mine[name][2]))  # type: ignore[arg-type]
    total = by_message.related.arrays.total[0]
    by_message.lists.take([(name.encode(), None)])
    assert contents(by_message.related)[name] == (0, 0.0, [])
    assert 0 < by_message.related.arrays.total[0] < total
    assert by_message.related.arrays.total[0] == pytest.approx(by_message.related.arrays.recent_mass.sum())


def test_the_boards_of_a_worker_share_the_catalogue_alone() -> None:
    boards = Boards(BUILT_IN, 7)
    bought, watched = (boards.of(kind) for kind in BUILT_IN)
    assert bought.catalogue is watched.catalogue is boards.catalogue
    assert bought.related is not watched.related
    assert bought.related.k == watched.related.k == 7
    assert not np.shares_memory(bought.rankers["new"].weights, watched.rankers["new"].weights)
