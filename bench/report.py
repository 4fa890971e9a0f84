"""Writes the last results into docs/measurements.md, between two marks, and draws the plots beside it.

    python -m bench.report [--out build/bench] [--page docs/measurements.md]

Everything between the marks comes from the JSON files of the benches; nothing there is written by hand.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plots import draw
from bench.results import OUT, number, verdict
from bench.targets import TARGETS

PAGE = Path("docs/measurements.md")
BEGIN = "<!-- results: made by `python -m bench.report` -->"
END = "<!-- end of results -->"

Results = Mapping[str, Mapping[str, Any]]


def read(folder: Path) -> Results:
    """Return the results in a folder, by the name of the bench."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        found[file.stem] = json.loads(file.read_text(encoding="ascii"))
    return found


def target_rows(results: Results) -> list[list[str]]:
    """Return a row for every target: its words, the value, the target, and whether it is met."""
    rows = []
    for target in TARGETS:
        value = results.get(target.bench, {}).get("figures", {}).get(target.figure)
        if value is None:
            rows.append([target.what, "not measured", target.text, ""])
        else:
            rows.append([target.what, number(value), target.text, verdict(target.met(value))])
    return rows


def section(results: Results, plots: Sequence[str]) -> str:
    """Return the section as Markdown: the table of targets, the plots, and every figure of every bench."""
    lines = [_table(["measure", "measured", "target", ""], target_rows(results))]
    lines += [f"![{Path(plot).stem.replace('-', ' ')}]({plot})" for plot in plots]
    for name, result in results.items():
        lines.append(f"### `python -m bench.{name}`")
        lines.append(_circumstances(result))
        lines.append(_table(["figure", "value"], [[k, number(v)] for k, v in result["figures"].items()]))
    return "\n\n".join(lines)


def fill(page: str, text: str) -> str:
    """Return the page with the text placed between its marks.

    Raises
    ------
    ValueError
        If the page does not have both marks, once each and in order.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page needs the lines {BEGIN} and {END}, once each and in this order")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _circumstances(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    parts = [
        f"{result['ended']}, {machine['cores']} cores ({machine['processor']}), Python {machine['python']}",
        f"median of {result['runs']} runs" if result["runs"] > 1 else "one run",
    ]
    if result["limit"] is not None:
        parts.append(f"only the first {result['limit']:,} events")
    if result["in_process_per_s"]:
        parts.append(f"in process {result['in_process_per_s']:,.0f} events/s at that time")
    return f"{'; '.join(parts)}."


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the results, {OUT} without it")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"the page, {PAGE} without it")
    options = parser.parse_args()
    results = read(options.out)
    if not results:
        raise SystemExit(f"there are no results in {options.out}: run `make bench` first")
    plots = draw(results, options.page.parent / "plots")
    names = [str(plot.relative_to(options.page.parent)) for plot in plots]
    page = options.page.read_text(encoding="utf-8")
    options.page.write_text(fill(page, section(results, names)), encoding="utf-8")


if __name__ == "__main__":
    main()
