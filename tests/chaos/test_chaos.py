"""Short chaos runs: one fault of each kind that differs, on real purchases, then every count.

And once more, with fewer faults, where the first watch comes long after the first purchase.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RATE = 400
SHORT = ["--short", "--seed=4"]
WATCHES_LATE = ["--faults=4", "--seed=7", "--watches-after=5000"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("how", "faults"), [(SHORT, 6), (WATCHES_LATE, 4)], ids=["short", "watches-late"])
def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path, how: list[str], faults: int) -> None:
    # in a process of its own: kafka-python leaves sockets open when a broker dies
    told = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.chaos", *how, f"--rate={RATE}"]
    done = subprocess.run([*command, f"--json={told}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(told.read_text())
    assert len(report["faults"]) >= faults
    assert report["events"] > 10_000
    assert min(report["compared"].values()) > 0
    assert not any(report["differing"].values()), done.stdout
