"""The short chaos run: one fault of each kind that differs, on real purchases, then every count."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.run import run, short_faults

SEED = 4
RATE = 400


@pytest.mark.timeout(420)
def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    report = run(tmp_path, SEED, RATE, short_faults(), print)
    print("\n".join(report.lines()))
    assert len(report.faults) >= 6
    assert report.events > 10_000
    assert min(report.differences.compared.values()) > 0
    assert not report.differences.differing, report.differences.examples
