"""Measures the CPU of a recommendation in process, where nothing else uses the processor's cache.

    python -m bench.recommending [--limit N]

The year is counted and listed as `evaluation.algorithms.ours` does it. Then some hundred customers are
recommended to, one shelf after the other, and the parts of it are done alone: reading the history, summing
up the lists (gathering), and finding candidates with their features, which includes that. `bench.latency`
has what a recommendation takes in a live recommender.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np

from bench.event_sets import sets
from bench.results import Result, parser, run
from evaluation.algorithms.ours import Ours
from recommending.buffers import QUERY_ITEMS, new_scratch
from recommending.candidates import History
from recommending.gathering import gather, newest_first, weights
from recommending.related_lists import landmark_weight

CUSTOMERS = 400
SHOWN = 20
TIMES = 3  # of which the fastest counts
CHUNK = 20_000
SEED = 1


def measure(options: argparse.Namespace) -> Result:
    """Count the year, and recommend."""
    events = sets(None, options.limit)["purchases"]()
    ours = Ours(chunk=CHUNK, most_examples=1, ranked=len(events), ranked_ms=1 << 60, at_once=0, train_ms=None)
    ours.fit(events, 0)
    recommender = ours.recommender
    known = np.unique(events.customer)
    chosen = np.random.default_rng(SEED).permutation(known)[:CUSTOMERS].tolist()
    with recommender.related.lock:
        histories = [recommender.history(str(customer)) for customer in chosen]
        figures = {
            "history_us": _least_us(lambda customer: recommender.history(str(customer)), chosen),
            "gathering_us": _least_us(_gathering(ours), histories),
            "candidates_us": _least_us(
                lambda history: recommender.candidates(history, unowned=True, own=True, flawed=False),
                histories,
            ),
        }
        found = [recommender.candidates(h, unowned=True, own=True, flawed=False) for h in histories]
        figures["candidates"] = float(np.mean([len(one.item) for one in found]))
        for shelf in ("new", "again", "all"):
            figures[f"recommending_{shelf}_us"] = _least_us(
                lambda history, shelf=shelf: recommender.recommend(history, SHOWN, shelf), histories
            )
    return Result(figures)


def _gathering(ours: Ours) -> Callable[[History], int]:
    recommender = ours.recommender
    now_ms = recommender.popular.watermark_ms
    inverse, buyers = 1.0 / landmark_weight(now_ms), np.ones(QUERY_ITEMS)
    scratch = new_scratch(len(recommender.related.items))

    def do(history: History) -> int:
        order = newest_first(history.last_ms)
        q = weights(history.last_ms[order], now_ms)
        return gather(
            recommender.related.arrays, scratch, recommender.buffers.sums, history.item[order], q, buyers,
            inverse, 0,
        )  # fmt: skip

    return do


def _least_us(do: Callable[..., object], each: Sequence[object]) -> float:
    """Return the microseconds of CPU of one call: of all, the fastest of some times."""
    fastest = float("inf")
    for _ in range(TIMES):
        begin = time.thread_time()
        for one in each:
            do(one)
        fastest = min(fastest, time.thread_time() - begin)
    return 1e6 * fastest / len(each)


def main() -> None:
    """Run the bench."""
    run("recommending", parser(__doc__).parse_args(), measure)


if __name__ == "__main__":
    main()
