"""The report: one HTML page with the tables and the plots, which needs no other file."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation import plots
from evaluation.running import Evaluation


def page(evaluation: Evaluation) -> str:
    """Return the page."""
    templates = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    found = evaluation.to_dict()
    found["algorithms"].sort(key=lambda one: -one["hit"])
    # what matplotlib draws has names of algorithms alone, of a fixed list, and numbers
    drawn = {
        "hits": Markup(plots.hits(evaluation)),
        "by_cutoff": Markup(plots.by_cutoff(evaluation)),
        "novelty": Markup(plots.novelty(evaluation)),
        "over_time": None,
    }
    if evaluation.prequential:
        drawn["over_time"] = Markup(plots.over_time(evaluation.prequential))
    return environment.get_template("report.html").render(
        evaluation=found, plots=drawn, months=_by_month(evaluation)
    )


def _by_month(evaluation: Evaluation) -> dict[str, dict[str, str]]:
    """Return the hit rates by algorithm for each month, as text."""
    months: dict[str, dict[str, str]] = {}
    for one in evaluation.prequential or []:
        months.setdefault(one["month"], {})[one["algorithm"]] = f"{one['hit']:.3f} ({one['cases']:,})"
    return months
