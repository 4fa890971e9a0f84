"""Plots of the results: latency over rate, rate over catalogue size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

SIZE_INCHES = 6.0, 3.6


def draw(results: Mapping[str, Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw the plots for which there are results into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for bench, file, plot in (
        ("latency", "latency-over-rate.svg", _latency),
        ("growth", "rate-over-catalogue-size.svg", _growth),
    ):
        if bench in results:
            figure = Figure(figsize=SIZE_INCHES, layout="constrained")
            axes = figure.add_subplot()
            plot(axes, results[bench]["series"])
            axes.grid(alpha=0.3)
            # the names of the file's parts are not random, so that the same numbers give the same file
            with mpl.rc_context({"svg.hashsalt": "alsobought"}):
                figure.savefig(folder / file, format="svg", metadata={"Date": None})
            drawn.append(folder / file)
    return drawn


def _latency(axes: Any, series: Mapping[str, list[float]]) -> None:
    axes.plot(series["rate"], series["p50_ms"], "o-", label="median")
    axes.plot(series["rate"], series["p99_ms"], "s--", label="99th percentile")
    axes.set(
        xscale="log", yscale="log", xlabel="purchases a second",
        ylabel="ms to the changed list", title="From a purchase to its changed list, seen by a client",
    )  # fmt: skip
    axes.legend()


def _growth(axes: Any, series: Mapping[str, list[float]]) -> None:
    axes.plot(series["items"], series["counted_per_s"], "o-")
    axes.set(
        xscale="log", ylim=(0, None), xlabel="items (and five times as many customers)",
        ylabel="events counted a second", title="Counting in process, one thread",
    )  # fmt: skip
