"""Draw what a soak measured."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.soak.samples import GROWS, WARM, Samples

PANELS = (
    ("MiB in memory", ("memory of workers", "memory of recommenders", "memory of Kafka")),
    ("open handles and threads", ("handles", "threads")),
    ("MiB on the disk", ("stores", "checkpoints", GROWS)),
    ("events not yet counted", ("lag",)),
    ("ms to the changed list, median", ("latency of lists",)),
)


def draw(samples: Samples, file: Path) -> None:
    """Draw all measures over time, with a line for each fault, into an SVG file."""
    figure = Figure(figsize=(7.0, 9.0), layout="constrained")
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    minutes = [t / 60 for t in samples.times_s]
    for axes, (title, names) in zip(panels, PANELS, strict=True):
        for name in names:
            axes.plot(minutes, [float("nan") if v is None else v for v in samples.columns[name]], label=name)
        for at_s, _ in samples.faults:
            axes.axvline(at_s / 60, color="0.8", linewidth=0.8, zorder=0)
        axes.axvspan(0, WARM * minutes[-1], color="0.95", zorder=-1)
        axes.set(ylabel=title, ylim=(0, None))
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize="small")
    panels[3].set(yscale="symlog")
    panels[-1].set(xlabel="minutes; lines are faults, what is shaded is not judged")
    file.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "alsobought"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
