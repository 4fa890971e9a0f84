"""Measures the events a second that machines count in process: the year, four partitions, one thread.

    python -m bench.in_process [--limit N] [--no-ranking]

Counting includes histories, encoding and decoding deltas, and rows. It does not include reading the events
and numbering their ids. Ranking covers every row that may have changed, after every 50,000 events.
"""

from __future__ import annotations

import argparse

from bench.machines import Machines, slices, year
from bench.results import Result, parser, run

PARTITIONS = 4
RANK_EVERY = 50_000


def measure(options: argparse.Namespace) -> Result:
    """Count the year once."""
    machines = Machines(PARTITIONS)
    for events in slices(year(options.limit), RANK_EVERY):
        machines.feed(events)
        machines.finish()
        if not options.no_ranking:
            machines.rank()
    spent = machines.spent
    per_event = 1e6 / spent.events
    figures = {
        "events": float(spent.events),
        "counted_per_s": spent.per_s,
        "counting_us_per_event": per_event * spent.counting_s,
        "histories_us_per_event": per_event * spent.customers_s,
        "deltas_us_per_event": per_event * spent.deltas_s,
        "rows_us_per_event": per_event * spent.rows_s,
        "neighbours_per_event": spent.neighbours / spent.events,
    }
    if not options.no_ranking:
        both = spent.counting_s + spent.ranking_s
        figures |= {
            "ranking_us_per_event": per_event * spent.ranking_s,
            "lists_per_event": spent.lists / spent.events,
            "counted_and_ranked_per_s": spent.events / both,
        }
    return Result(figures, spent.per_s)


def main() -> None:
    """Run the bench."""
    options = parser(__doc__)
    options.add_argument("--no-ranking", action="store_true", help="count only")
    run("in_process", options.parse_args(), measure)


if __name__ == "__main__":
    main()
