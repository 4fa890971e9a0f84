"""The parts that all benches share: options, runs and medians, a table with targets, a JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from alsobought.tables import print_table
from bench.targets import of_bench
from streams.process.heap import continue_with_huge_pages

OUT = Path("build/bench")
"""Folder of the results unless --out names another, which `bench.report` reads."""


@dataclass
class Result:
    """The results of a bench.

    Attributes
    ----------
    figures
        Values by name; the unit is in the name.
    in_process_per_s
        Events a second that the machines counted in process on this machine in the same hour, which makes
        results of different machines and days comparable; 0 where a bench has no use for it.
    series
        Columns of numbers for plots, by name.
    """

    figures: dict[str, float]
    in_process_per_s: float = 0.0
    series: dict[str, list[float]] = field(default_factory=dict)


Measure = Callable[[argparse.Namespace], Result]


def positive(text: str) -> int:
    """Return a whole number of at least 1, as the type of an option."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every bench takes."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    made.add_argument("--limit", type=positive, help="only the first so many events: a short run, to try it")
    made.add_argument("--runs", type=positive, default=1, help="how often to measure; medians are reported")
    made.add_argument("--out", type=Path, default=OUT, help=f"folder for NAME.json; {OUT} without it")
    made.add_argument("--json", action="store_true", help="print the JSON, too")
    return made


def run(name: str, options: argparse.Namespace, measure: Measure) -> None:
    """Measure, print the table and write NAME.json into the folder of the results.

    The heap lies in huge pages, as that of a worker does: otherwise counting in process would be slower.
    """
    command = sys.modules["__main__"].__spec__
    if command is not None and command.name == f"bench.{name}":  # and not a test
        continue_with_huge_pages()
    results = [measure(options) for _ in range(options.runs)]
    result = Result(
        medians([one.figures for one in results]),
        statistics.median(one.in_process_per_s for one in results),
        results[-1].series,
    )
    content = {
        "bench": name,
        "ended": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": machine(),
        "limit": options.limit,
        "runs": options.runs,
        **asdict(result),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")
    print_table(["figure", "value", "target", ""], rows(name, result.figures), name)
    if result.in_process_per_s:
        print(f"in process: {result.in_process_per_s:,.0f} events/s, one thread", flush=True)
    if options.json:
        print(json.dumps(content))


def medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure over the runs that have it.

    >>> medians([{"a": 1.0}, {"a": 3.0, "b": 5.0}, {"a": 2.0}])
    {'a': 2.0, 'b': 5.0}
    """
    names = dict.fromkeys(name for one in runs for name in one)
    return {name: statistics.median(one[name] for one in runs if name in one) for name in names}


def rows(name: str, figures: Mapping[str, float]) -> list[list[object]]:
    """Return the table of a bench: the figures with targets first, then the others."""
    table_lines: list[list[object]] = []
    for target in of_bench(name):
        if (value := figures.get(target.figure)) is None:
            table_lines.append([target.figure, "not measured", target.text, ""])
        else:
            table_lines.append([target.figure, number(value), target.text, verdict(target.met(value))])
    targeted = {target.figure for target in of_bench(name)}
    table_lines += [[key, number(value), "", ""] for key, value in figures.items() if key not in targeted]
    return table_lines


def verdict(met: bool) -> str:
    """Return the word for a target that is met or missed."""
    return "met" if met else "missed"


def number(value: float) -> str:
    """Return a value with three significant digits, or with all digits of a whole number.

    >>> number(0.12345), number(12.345), number(1234567.8)
    ('0.123', '12.3', '1,234,568')
    """
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> dict[str, str | int]:
    """Return the environment that the figures depend on: processor, its cores, and Python."""
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # other than on Linux, only Python's description is available
    return {"processor": model, "cores": os.cpu_count() or 0, "python": platform.python_version()}
