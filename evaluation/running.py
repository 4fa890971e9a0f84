"""Run an evaluation: choose whom to ask about, run every algorithm in a process of its own, and judge it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import files
from evaluation.children import Bar, ChildTask, run
from evaluation.errors import EvaluationError
from evaluation.metrics import Background, Comparison, Hits, Measured, mcnemar, measure
from evaluation.protocol import Asked, Events, Ids, asked_at, cutoffs

BASELINE, PRODUCT = "bestsellers-2w", "ours"
MOST_CUSTOMERS = 5_000


@dataclass(frozen=True)
class Question:
    """The question that is asked.

    Attributes
    ----------
    customers
        The most customers at a cutoff; if there are more, a random choice is asked about.
    """

    cutoffs: int = 6
    days: int = 14
    k: int = 6
    new_only: bool = True
    customers: int = MOST_CUSTOMERS


@dataclass(frozen=True)
class Verdict:
    """The metrics of an algorithm, and the time and memory it took.

    Attributes
    ----------
    vs_bestsellers, vs_ours
        None for these themselves, or if they were not evaluated.
    train_s
        The training time of all cutoffs together.
    """

    name: str
    measured: Measured
    vs_bestsellers: Comparison | None
    vs_ours: Comparison | None
    train_s: float
    recommend_us: float
    peak_mib: float

    def to_dict(self) -> dict[str, Any]:
        """Return everything at one level, except for the comparisons."""
        found = asdict(self)
        measured = found.pop("measured")
        return {"name": found.pop("name"), **measured, **found}


@dataclass(frozen=True)
class Evaluation:
    """The verdicts, with the question.

    Attributes
    ----------
    data
        The name of the events.
    asked
        How many customers were asked about, per cutoff.
    prequential
        What `evaluation.prequential.run` returned; None if it was not wanted.
    jobs
        How many algorithms ran at the same time: their times are of machines with as many cores.
    failures
        Why algorithms without a verdict failed.
    """

    data: str
    question: Question
    cutoffs: list[int]
    asked: list[int]
    verdicts: list[Verdict]
    prequential: list[dict[str, Any]] | None = None
    events: int = 0
    items: int = 0
    all_customers: int = 0
    jobs: int = 1
    failures: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        at = [datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds") for ms in self.cutoffs]
        found: dict[str, Any] = {
            "data": self.data,
            "events": self.events, "items": self.items, "customers": self.all_customers,
            "k": self.question.k, "days": self.question.days, "new_only": self.question.new_only,
            "cutoffs": [{"at": a, "customers": n} for a, n in zip(at, self.asked, strict=True)],
            "jobs": self.jobs, "failures": self.failures,
            "algorithms": [verdict.to_dict() for verdict in self.verdicts],
        }  # fmt: skip
        return found if self.prequential is None else found | {"prequential": self.prequential}


def evaluate(
    data: str,
    events: Events,
    names: Sequence[str],
    question: Question,
    bar: Bar,
    *,
    prequential: bool = False,
    jobs: int = 1,
) -> Evaluation:
    """Ask every algorithm, `jobs` at the same time.

    Raises
    ------
    EvaluationError
        The data is too short, nobody can be asked about, or every algorithm fails.
    """
    moments = cutoffs(events, question.cutoffs, question.days)
    asked = [
        asked_at(events, at, question.days, new_only=question.new_only, most=question.customers, seed=n)
        for n, at in enumerate(moments)
    ]
    if not all(len(one.customers) for one in asked):
        raise EvaluationError(
            f"at a cutoff no customer has events both before and in the {question.days} days after it:"
            " choose more --days or other cutoffs"
        )
    with tempfile.TemporaryDirectory(prefix="alsobought-evaluate-") as name:
        folder = Path(name)
        _write(events, moments, asked, question, folder)
        tasks = [ChildTask("answer", name) for name in names]
        tasks += [ChildTask("prequential", PRODUCT)] if prequential else []
        failed = run(tasks, folder, jobs, bar)
        failures = list(failed.values())
        if len(failed) == len(tasks):
            raise EvaluationError("\n".join(failures))
        answers = {}
        for task in tasks:
            if task.task == "answer" and task not in failed:
                with np.load(folder / f"{task.algorithm}.npz") as found:
                    answers[task.algorithm] = dict(found)
        monthly = None
        if prequential and tasks[-1] not in failed:
            monthly = json.loads((folder / "prequential.json").read_text(encoding="utf-8"))
    return Evaluation(
        data, question, moments, [len(one.customers) for one in asked], _judge(events, asked, answers),
        monthly, len(events), events.n_items, events.n_customers, jobs, failures,
    )  # fmt: skip


def _write(
    events: Events, moments: list[int], asked: list[Asked], question: Question, folder: Path
) -> None:  # fmt: skip
    files.write(events, folder)
    plan = {"cutoffs": moments, "k": question.k, "new_only": question.new_only}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    customers = {f"asked{n}": one.customers for n, one in enumerate(asked)}
    np.savez(folder / "asked.npz", allow_pickle=False, **customers)


def _judge(events: Events, asked: list[Asked], answers: dict[str, dict[str, Any]]) -> list[Verdict]:
    background = [Background.of(events.before(one.cutoff_ms), one.cutoff_ms) for one in asked]
    measured: dict[str, tuple[Measured, Hits]] = {}
    for name, answer in answers.items():
        shown: list[Ids] = [answer[f"shown{n}"] for n in range(len(asked))]
        measured[name] = measure(shown, asked, background)
    total = sum(len(one.customers) for one in asked)

    def against(name: str, other: str) -> Comparison | None:
        if name == other or other not in measured:
            return None
        return mcnemar(measured[name][1], measured[other][1])

    verdicts = []
    for name, answer in answers.items():
        train_s, recommend_s, peak = answer["numbers"].tolist()
        both = against(name, BASELINE), against(name, PRODUCT)
        verdicts.append(Verdict(name, measured[name][0], *both, train_s, 1e6 * recommend_s / total, peak))
    return verdicts
