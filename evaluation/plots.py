"""The plots of the report, as SVG to put into a page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from evaluation.running import PRODUCT, Evaluation, Verdict

OURS, OTHER = "#c2410c", "#64748b"


def hits(evaluation: Evaluation) -> str:
    """Return the hit rate of every algorithm with its standard error, the best first."""
    verdicts = sorted(evaluation.verdicts, key=lambda v: v.measured.hit)
    with _figure(7, 0.8 + 0.32 * len(verdicts)) as (axes, svg):
        axes.barh(
            [v.name for v in verdicts], [v.measured.hit for v in verdicts],
            xerr=[v.measured.se for v in verdicts], color=[_color(v) for v in verdicts], height=0.65,
            error_kw={"elinewidth": 1.2, "capsize": 3},
        )  # fmt: skip
        axes.set_xlabel(f"hit@{evaluation.question.k}, with standard error")
        axes.grid(axis="x", alpha=0.3)
    return svg[0]


def by_cutoff(evaluation: Evaluation) -> str:
    """Return the hit rate at each cutoff, with a line per algorithm."""
    with _figure(8, 4.5) as (axes, svg):
        days = [(at - evaluation.cutoffs[0]) / 86_400_000 for at in evaluation.cutoffs]
        for verdict in sorted(evaluation.verdicts, key=lambda v: -v.measured.hit):
            wide = 2.5 if verdict.name == PRODUCT else 1.2
            axes.plot(days, verdict.measured.hit_by_cutoff, marker="o", ms=3, lw=wide, label=verdict.name)
        axes.set_xlabel("cutoff, days after the first")
        axes.set_ylabel(f"hit@{evaluation.question.k}")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
        axes.grid(alpha=0.3)
    return svg[0]


def novelty(evaluation: Evaluation) -> str:
    """Return novelty against hit rate: to the right and up is better."""
    with _figure(7, 4.5) as (axes, svg):
        for verdict in evaluation.verdicts:
            m = verdict.measured
            axes.scatter(m.novelty, m.hit, color=_color(verdict), s=30)
            axes.annotate(verdict.name, (m.novelty, m.hit), (5, 4), textcoords="offset points", fontsize=8)
        axes.set_xlabel("novelty, bits of surprise an item")
        axes.set_ylabel(f"hit@{evaluation.question.k}")
        axes.margins(0.15)
        axes.grid(alpha=0.3)
    return svg[0]


def over_time(months: list[dict[str, Any]]) -> str:
    """Return the prequential curves."""
    names = list(dict.fromkeys(one["algorithm"] for one in months))
    with _figure(8, 4.5) as (axes, svg):
        every = sorted({one["month"] for one in months})
        for name in names:
            found = {one["month"]: one["hit"] for one in months if one["algorithm"] == name}
            wide = 2.5 if name == PRODUCT else 1.2
            curve = [found.get(month, float("nan")) for month in every]
            axes.plot(range(len(every)), curve, marker="o", ms=3, lw=wide, label=name)
        axes.set_xticks(range(len(every)), every, rotation=45, ha="right", fontsize=8)
        axes.set_ylabel("share of visits hit")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
        axes.grid(alpha=0.3)
    return svg[0]


def _color(verdict: Verdict) -> str:
    return OURS if verdict.name == PRODUCT else OTHER


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Any, list[str]]]:
    """Yield axes to draw on, and a list that has the SVG afterwards; the same drawing gives the same text."""
    svg: list[str] = []
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "alsobought", "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes, svg
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg.append(text.getvalue().partition("<svg")[1] + text.getvalue().partition("<svg")[2])
