"""The processes of an evaluation: side by side as one after the other; what one that fails leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from alsobought.bars import told as bar
from evaluation.children import Tell
from evaluation.errors import EvaluationError
from evaluation.running import Question, evaluate
from tests.evaluation.world import drifting

QUESTION = Question(cutoffs=2, days=14, k=5)
SLOW = """
import time
import evaluation.algorithms.bestsellers as b
import evaluation.algorithms.item_counts as i

def learn(self, *_):
    raise MemoryError("no room for a matrix")

b.Bestsellers.learn = learn
i.RawCounts.learn = lambda self, *_: time.sleep(3_600)
"""


def test_side_by_side_as_one_after_the_other() -> None:
    told: list[tuple[int, str]] = []

    @contextmanager
    def recorded(_what: str, total: int) -> Iterator[Tell]:
        assert total == 100

        def tell(count: int, doing: str = "") -> None:
            told.append((count, doing))

        yield tell

    names = ["bestsellers", "bestsellers-2w", "item-raw"]
    one, both = (evaluate("films", drifting(), names, QUESTION, recorded, jobs=n) for n in (1, 2))
    assert [v.name for v in both.verdicts] == names
    assert [v.measured for v in both.verdicts] == [v.measured for v in one.verdicts]
    assert told[-1][0] == 100
    assert any("item-raw" in doing for _, doing in told)


def test_one_that_fails_says_why_and_ends_the_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(EvaluationError, match=r"bestsellers failed: MemoryError: no room for a matrix"):
        evaluate("films", drifting(), ["bestsellers", "item-raw"], QUESTION, bar, jobs=2)
    left = [child.cmdline() for child in psutil.Process().children()]
    assert not [command for command in left if "evaluation.child" in command]
