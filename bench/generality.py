"""Measures whether ours is at least the best simple method: on purchases, watches, their halves, and seeded
shops.

    python -m bench.generality [--watches FILE] [--only SET,...] [--questions new,all] [--choice NAME,...]
                               [--without FEATURE,...|all] [--limit N] [--out DIR]
    python -m bench.generality --curve SET | --weights SET,...

At cutoffs in the second half of each set six items are recommended to customers who come back within two
weeks (`evaluation.protocol`). A choice (`bench.choices`) holds on a set if it hits at least as often as the
best simple method within one standard error of its own. The table shows the ratio to the best simple method
on every set, the summary its worst and its mean. With --curve the bench shows instead how ours compares on
one set as its training steps grow; with --weights, what the ranker learnt on some sets.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from alsobought.bars import progress_bar
from alsobought.sources import SourceError
from alsobought.tables import table_of
from bench import choices, learning_curve, learnt_weights
from bench.event_sets import Sets, sets
from bench.hit_rates import MODULE, SIMPLE, Row, row_of, summary, table
from bench.results import OUT, machine, positive
from evaluation.errors import EvaluationError
from evaluation.running import Question, evaluate
from recommending.algorithms import ALGORITHMS
from recommending.features import FEATURES, NEW_FEATURES

WIDTH = 180  # columns of tables; they are read from files, too


def measure(
    data: Sets, questions: Sequence[str], chosen: Sequence[str], options: argparse.Namespace
) -> list[Row]:  # fmt: skip
    """Ask every question on every set; report failures on standard error, and leave them out."""
    found = []
    for name, events_of in data.items():
        events = events_of()
        for question in questions:
            algorithms = [*SIMPLE[question], *(MODULE + choice for choice in chosen)]
            asked = Question(options.cutoffs, new_only=question == "new", customers=options.customers)
            begin = time.perf_counter()
            try:
                evaluation = evaluate(name, events, algorithms, asked, progress_bar, jobs=options.jobs)
            except EvaluationError as error:  # one set that is too short is no reason to lose the others
                print(f"{name} is left out: {error}", file=sys.stderr, flush=True)
                continue
            for failure in evaluation.failures:
                print(f"{name}: {failure}", file=sys.stderr, flush=True)
            row = row_of(evaluation, question, time.perf_counter() - begin)
            if all(choice in row.hits for choice in chosen):
                found.append(row)
            _say(f"{name}, {question}: {len(events):,} events, {row.seconds:.0f} s")
    return found


def print_results(rows: Sequence[Row], chosen: Sequence[str]) -> None:
    """Print a table for each question, and the summary."""
    figures = summary(rows, chosen)
    for question in dict.fromkeys(row.question for row in rows):
        _print(*table(rows, question, chosen), f"hit@6, {question} items")
        lines = [
            [
                choice,
                *(f"{figures[f'{question}_{choice}_{name}_ratio']:.3f}" for name in ("worst", "mean")),
                f"{figures[f'{question}_{choice}_sets_held']:.0f} of {figures[f'{question}_sets']:.0f}",
            ]
            for choice in chosen
        ]
        _print(["choice", "worst / best", "mean / best", "holds on"], lines, f"all sets, {question} items")


def print_curve(name: str, data: Sets) -> None:
    """Print the learning curve of a set."""
    with progress_bar("percent:", 100) as done:
        points = learning_curve.curve(data[name](), partial(_show_share, done))
    _print(
        ["training steps", "visits", *ALGORITHMS],
        learning_curve.rows(points),
        f"{name}: share of visits hit, new items, in stretches that end with so many training steps",
    )
    for other in ALGORITHMS:
        if other != "ours":
            training_steps = learning_curve.ahead_from(points, other)
            _say(
                f"ahead of {other}: "
                + ("not yet" if training_steps is None else f"from {training_steps:,} training steps on")
            )


def print_weights(data: Sets) -> None:
    """Print what the ranker learnt on each set."""
    of_sets = {}
    for name, events_of in data.items():
        with progress_bar("percent:", 100) as done:
            of_sets[name] = learnt_weights.learnt(events_of(), partial(_show_share, done))
    _print(["feature", "start", *of_sets], learnt_weights.rows(of_sets), "weights of standardised features")


def _print(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str) -> None:
    Console(markup=False, highlight=False, width=WIDTH).print(table_of(columns, rows, title))
    _say("")


def _show_share(show: Callable[[int], None], share: float) -> None:
    show(round(100 * share))


def _say(text: str) -> None:
    print(text, flush=True)


def _known(names: str, of: Sequence[str], what: str) -> list[str]:
    found = names.split(",")
    if unknown := [name for name in found if name not in of]:
        raise SystemExit(f"there is no {what} {', '.join(unknown)}: there are {', '.join(of)}")
    return found


def _choices(options: argparse.Namespace) -> list[str]:
    found = [choices.known(name) for name in options.choice.split(",")]
    if options.without is not None:
        features = NEW_FEATURES if options.without == "all" else _known(options.without, FEATURES, "feature")
        found += [f"{choices.WITHOUT}{name}" for name in features]
    return list(dict.fromkeys(found))


def _options() -> argparse.Namespace:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    made.add_argument(
        "--limit", type=positive, help="events of a set, about: of more, those of some customers"
    )
    made.add_argument("--out", type=Path, default=OUT, help=f"folder for generality.json; {OUT} without it")
    made.add_argument("--watches", metavar="FILE", help="events of the kind watched, as for publish")
    made.add_argument("--only", metavar="SET,...", help="only these sets")
    made.add_argument(
        "--choice", metavar="NAME,...", default="as-is", help="of bench.choices; ratios: the first"
    )
    made.add_argument(
        "--without", metavar="FEATURE,...", help="also as-is without each of these; all: of new"
    )
    made.add_argument("--questions", metavar="new,all", default="new,all")
    made.add_argument("--cutoffs", type=positive, default=4)
    made.add_argument("--customers", type=positive, default=2_000, help="asked at a cutoff at most")
    made.add_argument("--jobs", type=positive, default=1, help="algorithms at the same time")
    made.add_argument("--curve", metavar="SET", help="the learning curve of one set, and nothing else")
    made.add_argument(
        "--weights", metavar="SET,...", help="what the ranker learnt on these, and nothing else"
    )
    return made.parse_args()


def main() -> None:
    """Run the bench."""
    try:
        _run(_options())
    except (SourceError, EvaluationError) as error:
        raise SystemExit(str(error)) from None


def _run(options: argparse.Namespace) -> None:
    data = sets(options.watches, options.limit)
    if options.curve is not None:
        print_curve(_known(options.curve, list(data), "set")[0], data)
        return
    if options.weights is not None:
        print_weights({name: data[name] for name in _known(options.weights, list(data), "set")})
        return
    if options.only is not None:
        data = {name: data[name] for name in _known(options.only, list(data), "set")}
    chosen, questions = _choices(options), _known(options.questions, list(SIMPLE), "question")
    rows = measure(data, questions, chosen, options)
    if not rows:
        raise SystemExit("no set could be measured")
    print_results(rows, chosen)
    result = {
        "bench": "generality",
        "ended": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine(),
        "limit": options.limit,
        "runs": 1,
        "figures": summary(rows, chosen),
        "in_process_per_s": 0.0,
        "series": {},
        "rows": [asdict(row) for row in rows],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "generality.json").write_text(json.dumps(result, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
