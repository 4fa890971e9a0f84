"""Processes of an evaluation give the same results side by side and in turn, and may fail singly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from alsobought.bars import progress_bar as bar
from evaluation.children import ShowProgress
from evaluation.errors import EvaluationError
from evaluation.running import Question, evaluate
from tests.evaluation.world import drifting
from tests.streams.pipeline import until

QUESTION = Question(cutoffs=2, days=14, k=5)
BROKEN = """
import os
import signal
import evaluation.algorithms.bestsellers as b
import evaluation.algorithms.item_counts as i
import evaluation.prequential as p

def fails(*_):
    raise MemoryError("no room for a matrix")

def killed(*_):
    print("a library says something", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

b.BestsellersScoring.learn = b.RecentBestsellersScoring.learn = fails
p.run = fails
i.RawCounts.learn = killed
"""
SLOW = """
import time
import evaluation.algorithms.bestsellers as b
b.BestsellersScoring.learn = lambda *_: time.sleep(3_600)
"""


def test_side_by_side_as_one_after_the_other() -> None:
    progress: list[tuple[int, str]] = []

    @contextmanager
    def recorded(_what: str, total: int) -> Iterator[ShowProgress]:
        assert total == 100

        def show_progress(count: int, doing: str = "") -> None:
            progress.append((count, doing))

        yield show_progress

    names = ["bestsellers", "bestsellers-2w", "item-raw"]
    one, both = (evaluate("films", drifting(), names, QUESTION, recorded, jobs=n) for n in (1, 2))
    assert [v.name for v in both.verdicts] == names
    assert [v.measured for v in both.verdicts] == [v.measured for v in one.verdicts]
    assert progress[-1][0] == 100
    assert any("item-raw" in doing for _, doing in progress)


def test_those_that_fail_say_why_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    names = ["bestsellers", "item-raw", "item-cosine"]
    found = evaluate("films", drifting(), names, QUESTION, bar, prequential=True, jobs=2)
    assert [v.name for v in found.verdicts] == ["item-cosine"]
    assert found.prequential is None
    matrix, or_correct = "MemoryError: no room for a matrix", "or correct it."
    expected = [
        f"bestsellers failed: {matrix}. Leave it out with --algorithms, {or_correct}",
        "item-raw failed: it was killed; if memory ran out, --jobs 1 takes less."
        f" Leave it out with --algorithms, {or_correct}",
        f"prequential failed: {matrix}. Leave --prequential out, {or_correct}",
    ]
    assert found.failures == found.to_dict()["failures"] == expected
    with pytest.raises(EvaluationError, match=r"bestsellers failed: MemoryError: no room for a matrix"):
        evaluate("films", drifting(), ["bestsellers"], QUESTION, bar)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_its_processes(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    films = tmp_path / "films.csv"
    lines = (f"c{n % 40},i{n % 7},{1_600_000_000_000 + n * 3_600_000}" for n in range(3_000))
    films.write_text("customer_id,item_id,timestamp\n" + "\n".join(lines))
    command = [sys.executable, "-m", "alsobought.cli", "evaluate", str(films), "--cutoffs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*command, "--algorithms", "bestsellers,bestsellers-2w,item-raw"],
        env=environment, stderr=subprocess.PIPE, text=True,
    ) as asking:  # fmt: skip
        try:
            asked = psutil.Process(asking.pid)
            until(lambda: _children(asked), "a process of an algorithm")
            children = _children(asked)
            asking.send_signal(how)
            assert asking.wait(60) == 130
        finally:
            asking.kill()
    assert psutil.wait_procs(children, 10)[1] == []
    assert not list(tmp_path.glob("alsobought-evaluate-*"))


def _children(of: psutil.Process) -> list[psutil.Process]:
    return [child for child in of.children() if "evaluation.child" in child.cmdline()]
