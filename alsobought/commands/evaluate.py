"""`evaluate`: compare algorithms on one's own events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alsobought.bars import progress_bar
from alsobought.evaluating import kind_of, read
from alsobought.options import Json, kind_named, settings_of
from alsobought.publish_options import FORMATS
from alsobought.signals import interruptible
from alsobought.sources.complete_journey import NAME as BUNDLED
from alsobought.tables import print_table, time_of
from evaluation import extra
from evaluation.errors import EvaluationError
from streams.kinds import kinds_of

if TYPE_CHECKING:
    from evaluation.metrics import Comparison
    from evaluation.running import Evaluation


def evaluate(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help=f"Events, as for publish: {FORMATS}; complete-journey for a year of groceries.",
        ),
    ],
    cutoffs: Annotated[int, typer.Option(min=1, max=100, help="Moments to recommend at.")] = 6,
    days: Annotated[int, typer.Option(min=1, max=365, help="That count after a cutoff.")] = 14,
    k: Annotated[int, typer.Option("--k", min=1, max=100, help="Items recommended to a customer.")] = 6,
    new_only: Annotated[
        bool, typer.Option("--new-only/--all-items", help="Leave out what a customer has, or not.")
    ] = True,
    algorithms: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Only these; all, without it.")
    ] = None,
    customers: Annotated[
        int, typer.Option(min=1, help="Asked at a cutoff at most; of more, a random choice.")
    ] = 5_000,
    prequential: Annotated[
        bool,
        typer.Option("--prequential", help="Also test on every visit of the stream before it is learnt."),
    ] = False,
    items: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Catalogue, as for publish items, for ours; that of complete-journey is taken without it.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Of the events; without it that of the file's first rows."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Algorithms that run at the same time, each in a process of its own.")
    ] = 2,
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Write a page with plots to this file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find out which algorithm best recommends what your customers take next.

    Every algorithm learns from the events before a cutoff, and recommends to the customers who have events
    before it and in the days after it. A hit is a customer who then took at least one of the items. See
    docs/guide/evaluating.md.
    """
    extra.require()
    from evaluation.algorithms import chosen
    from evaluation.running import Question, evaluate

    names = chosen(None if algorithms is None else algorithms.split(","), new_only=new_only)
    if report is not None and not report.parent.is_dir():
        raise EvaluationError(
            f"there is no directory {report.parent} for the report: create it, or name another"
        )
    settings = settings_of()
    of_kind = kind_of(file, kinds_of(settings)) if kind is None else kind_named(kind, settings)
    events = read(file, of_kind, BUNDLED if items is None and file == BUNDLED else items)
    question = Question(cutoffs, days, k, new_only, customers)
    with interruptible():
        found = evaluate(file, events, names, question, progress_bar, prequential=prequential, jobs=jobs)
    if as_json:
        typer.echo(json.dumps(found.to_dict()))
    else:
        _print(found)
    if report is not None:
        from evaluation.report import page

        try:
            report.write_text(page(found), encoding="utf-8")
        except OSError as error:
            raise EvaluationError(f"cannot write the report to {report}: {error.strerror}") from error
    if found.failures:
        raise EvaluationError("\n".join(found.failures))


def _print(found: Evaluation) -> None:
    asked = ", ".join(f"{time_of(at)[:10]} {n:,}" for at, n in zip(found.cutoffs, found.asked, strict=True))
    typer.echo(f"{found.data}: {found.events:,} events; customers asked at each cutoff: {asked}")
    best_first = sorted(found.verdicts, key=lambda v: -v.measured.hit)
    print_table(
        ["algorithm", f"hit@{found.question.k}", "error", "p best", "p ours", "precision", "shown",
         "bits", "best"],
        [
            [
                v.name, f"{v.measured.hit:.4f}", f"{v.measured.se:.4f}", _p(v.vs_bestsellers), _p(v.vs_ours),
                f"{v.measured.precision:.4f}", f"{v.measured.coverage:.1%}", f"{v.measured.novelty:.2f}",
                f"{v.measured.bestsellers_share:.0%}",
            ]
            for v in best_first
        ],
    )  # fmt: skip
    typer.echo(
        "p: McNemar's, against bestsellers-2w and ours; shown: share of the catalogue;\n"
        "bits: of surprise in an item; best: share of what is shown that is among the\n"
        "20 bestsellers of two weeks\n"
    )
    print_table(
        ["algorithm", "learning s", "a customer us", "peak MiB"],
        [[v.name, round(v.train_s, 1), round(v.recommend_us), round(v.peak_mib)] for v in best_first],
    )
    if found.prequential:
        print_table(
            ["month", "algorithm", "visits", "hit"],
            [
                [one["month"], one["algorithm"], one["cases"], f"{one['hit']:.3f}"]
                for one in found.prequential
            ],
            "Each visit a test, then a training example",
        )


def _p(comparison: Comparison | None) -> str:
    return "" if comparison is None else f"{comparison.p:.2g}"
