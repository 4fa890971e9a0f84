"""Results of benches become a table of targets and a section of the page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from bench import report, results, targets
from bench.processes import role_of
from bench.results import Result


def _options(folder: Path, runs: int = 1) -> argparse.Namespace:
    return results.parser("").parse_args(["--out", str(folder), "--runs", str(runs), "--limit", "1000"])


def test_a_result_is_written_with_the_median_of_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = iter([0.2, 0.7, 0.6])

    def measure(_options: argparse.Namespace) -> Result:
        return Result({"listed_share": next(shares), "events": 1000.0}, 50_000.0)

    results.run("end_to_end", _options(tmp_path, runs=3), measure)
    written = json.loads((tmp_path / "end_to_end.json").read_text())
    assert written["figures"] == {"listed_share": 0.6, "events": 1000.0}
    assert (written["runs"], written["limit"], written["in_process_per_s"]) == (3, 1000, 50_000.0)
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("listed_share")).split()[1:] == [
        "0.6", ">=", "0.5", "met",
    ]  # fmt: skip
    assert next(line for line in lines if line.startswith("two_weeks_s")).split()[1:] == [
        "not", "measured", "<=", "6",
    ]  # fmt: skip


def test_the_page_has_the_results_between_its_marks(tmp_path: Path) -> None:
    results.run("growth", _options(tmp_path), lambda _: Result({"partitions_cost": 1.5}))
    text = report.section(report.read(tmp_path), [])
    page = report.fill(f"before\n{report.BEGIN}\nsuperseded\n{report.END}\nafter\n", text)
    assert page.startswith(f"before\n{report.BEGIN}\n")
    assert page.endswith(f"{report.END}\nafter\n")
    assert "superseded" not in page
    assert "| cost of an event at 64 partitions, against 4 | 1.5 | <= 1.3 | missed |" in page
    assert "| `make test`, s | not measured | <= 480 |  |" in page
    assert report.fill(page, text) == page


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="once each"):
        report.fill("no marks here", "text")


def test_every_target_has_a_figure_of_its_own_and_a_bound() -> None:
    names = [(target.bench, target.figure) for target in targets.TARGETS]
    assert len(set(names)) == len(names)
    assert all(target.bound > 0 for target in targets.TARGETS)


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("java -cp /jars/a.jar kafka.Kafka /data/server.properties", "broker"),
        ("python -P -m faust -A streams.app worker --without-web", "worker"),
        ("python -I -S /x/guard.py 12 python -P -m faust -A streams.app worker", None),
        ("python -m alsobought.cli serve --port 0", "api"),
        ("python -m alsobought.cli publish purchases complete-journey", "publisher"),
        ("python -m alsobought.cli recommender", "recommender"),
        ("python -P -m faust -A streams.recommending.app worker --without-web", "recommender"),
        ("python /publish/serve.py --of worker.txt", None),
        ("python -m bench.probes --kafka 127.0.0.1:9092", None),
    ],
)
def test_processes_are_known_by_their_command_lines(command: str, role: str | None) -> None:
    assert role_of(command.split()) == role
