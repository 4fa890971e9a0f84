"""Hit rates of ours and of the simple methods on sets of events: the tables of `bench.generality`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.running import Evaluation

BESTSELLERS, EASE, OWN = "bestsellers-2w", "ease", "buy-again"
SIMPLE = {"new": (BESTSELLERS, "item-corrected", EASE), "all": (BESTSELLERS, "item-corrected", EASE, OWN)}
"""The simple methods by question: only what recommends owned items can be judged by all items."""
MODULE = "bench.choices:"
"""Where `evaluation` finds the choices."""


@dataclass(frozen=True)
class Row:
    """Hit rates on a set and their standard errors, by name of the algorithm or choice."""

    data: str
    question: str
    asked: int
    hits: dict[str, float]
    errors: dict[str, float]
    seconds: float

    def best(self) -> float:
        """Return the hit rate of the best simple method."""
        return max(self.hits.get(name, 0.0) for name in SIMPLE[self.question])

    def ratio(self, choice: str, other: str | None = None) -> float:
        """Return the ratio of a choice to another algorithm, or to the best simple method."""
        base = self.best() if other is None else self.hits.get(other, float("nan"))
        return self.hits[choice] / base if base else float("inf")

    def holds(self, choice: str) -> bool:
        """Return whether a choice is at least the best simple method, within one standard error."""
        return self.hits[choice] >= self.best() - self.errors[choice]


def row_of(found: Evaluation, question: str, seconds: float) -> Row:
    """Return the row of an evaluation's results."""
    measured = {verdict.name.removeprefix(MODULE): verdict.measured for verdict in found.verdicts}
    return Row(
        found.data, question, sum(found.asked),
        {name: one.hit for name, one in measured.items()}, {name: one.se for name, one in measured.items()},
        seconds,
    )  # fmt: skip


def table(rows: Sequence[Row], question: str, chosen: Sequence[str]) -> tuple[list[str], list[list[object]]]:
    """Return columns and rows of a question; ratios are those of the first choice."""
    first, simple = chosen[0], SIMPLE[question]
    columns = ["set", "asked", *simple, *chosen, "error", "/ best", "/ ease", "/ bestsellers", "holds"]
    return columns, [
        [
            row.data, row.asked,
            *(f"{row.hits[name]:.4f}" if name in row.hits else "failed" for name in (*simple, *chosen)),
            f"{row.errors[first]:.4f}",
            *(f"{row.ratio(first, other):.3f}" for other in (None, EASE, BESTSELLERS)),
            "yes" if row.holds(first) else "no",
        ]
        for row in rows
        if row.question == question
    ]  # fmt: skip


def summary(rows: Sequence[Row], chosen: Sequence[str]) -> dict[str, float]:
    """Return by question and choice the worst and mean ratio to the best simple method, and sets held."""
    figures: dict[str, float] = {}
    for question in dict.fromkeys(row.question for row in rows):
        some = [row for row in rows if row.question == question]
        for choice in chosen:
            ratios = [row.ratio(choice) for row in some]
            figures[f"{question}_{choice}_worst_ratio"] = min(ratios)
            figures[f"{question}_{choice}_mean_ratio"] = sum(ratios) / len(ratios)
            figures[f"{question}_{choice}_sets_held"] = sum(row.holds(choice) for row in some)
        figures[f"{question}_sets"] = len(some)
    return figures
