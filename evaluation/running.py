"""An evaluation: whom to ask, every algorithm in a process of its own, what it was worth."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import files
from evaluation.errors import EvaluationError
from evaluation.metrics import Background, Comparison, Hits, Measured, mcnemar, measure
from evaluation.protocol import Asked, Events, Ids, asked_at, cutoffs

BASELINE, PRODUCT = "bestsellers-2w", "ours"
MOST_CUSTOMERS = 5_000
PARTS = 100  # of a bar

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a bar: a text and a total; gives what tells how many are done. As `alsobought.bars.told`."""


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes
    ----------
    customers
        Asked at a cutoff at most: of more, a random choice.
    """

    cutoffs: int = 6
    days: int = 14
    k: int = 6
    new_only: bool = True
    customers: int = MOST_CUSTOMERS


@dataclass(frozen=True)
class Verdict:
    """What an algorithm was worth, and what it took.

    Attributes
    ----------
    vs_bestsellers, vs_ours
        None for these themselves, or where they were not evaluated.
    train_s
        Of all cutoffs together.
    """

    name: str
    measured: Measured
    vs_bestsellers: Comparison | None
    vs_ours: Comparison | None
    train_s: float
    recommend_us: float
    peak_mib: float

    def told(self) -> dict[str, Any]:
        """Everything at one level but the comparisons."""
        told = asdict(self)
        measured = told.pop("measured")
        return {"name": told.pop("name"), **measured, **told}


@dataclass(frozen=True)
class Evaluation:
    """The verdicts, with the question.

    Attributes
    ----------
    data
        Name of the events.
    asked
        How many customers were, per cutoff.
    prequential
        As `evaluation.prequential.run` has it; None where it was not wanted.
    """

    data: str
    question: Question
    cutoffs: list[int]
    asked: list[int]
    verdicts: list[Verdict]
    prequential: list[dict[str, Any]] | None = None
    events: int = 0
    items: int = 0
    all_customers: int = field(default=0)

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        at = [datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds") for ms in self.cutoffs]
        told: dict[str, Any] = {
            "data": self.data,
            "events": self.events, "items": self.items, "customers": self.all_customers,
            "k": self.question.k, "days": self.question.days, "new_only": self.question.new_only,
            "cutoffs": [{"at": a, "customers": n} for a, n in zip(at, self.asked, strict=True)],
            "algorithms": [verdict.told() for verdict in self.verdicts],
        }  # fmt: skip
        return told if self.prequential is None else told | {"prequential": self.prequential}


def evaluate(
    data: str,
    events: Events,
    names: Sequence[str],
    question: Question,
    bar: Bar,
    *,
    prequential: bool = False,
) -> Evaluation:
    """Ask every algorithm.

    Raises
    ------
    EvaluationError
        The data is too short, nobody can be asked, or an algorithm fails.
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
        answers = {}
        for algorithm in names:
            _run("answer", folder, algorithm, bar)
            with np.load(folder / f"{algorithm}.npz") as found:
                answers[algorithm] = dict(found)
        monthly = None
        if prequential:
            _run("prequential", folder, PRODUCT, bar)
            monthly = json.loads((folder / "prequential.json").read_text(encoding="utf-8"))
    return Evaluation(
        data, question, moments, [len(one.customers) for one in asked],
        _judge(events, asked, answers), monthly, len(events), events.n_items, events.n_customers,
    )  # fmt: skip


def _write(
    events: Events, moments: list[int], asked: list[Asked], question: Question, folder: Path
) -> None:  # fmt: skip
    files.write(events, folder)
    plan = {"cutoffs": moments, "k": question.k, "new_only": question.new_only}
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    customers = {f"asked{n}": one.customers for n, one in enumerate(asked)}
    np.savez(folder / "asked.npz", allow_pickle=False, **customers)


def _run(task: str, folder: Path, algorithm: str, bar: Bar) -> None:
    """Run a process to its end, and show how far it is."""
    errors = folder / "errors.txt"
    command = [sys.executable, "-m", "evaluation.child", task, str(folder), algorithm]
    name = algorithm if task == "answer" else task
    with (
        errors.open("w") as log,
        bar(f"percent of {name}:", PARTS) as done,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as child,
    ):
        assert child.stdout is not None
        try:
            for line in child.stdout:
                done(round(PARTS * float(line)))
            status = child.wait()
        finally:
            child.kill()
    if status != 0:
        last = errors.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was said"]
        reason = "it was killed; perhaps memory ran out" if status < 0 else last[0]
        raise EvaluationError(f"{name} failed: {reason}. Leave it out with --algorithms, or correct it.")


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
