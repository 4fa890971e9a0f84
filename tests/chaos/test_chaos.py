"""A short chaos run: one fault of each kind that differs, on real purchases, then every count.

The first watch comes after some of the faults, when there are thousands of purchases.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import SHORT

RATE = 400
WATCHES_AFTER = 3


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    # in a process of its own: kafka-python leaves sockets open when a broker dies
    written = tmp_path / "report.json"
    how = ["--short", "--seed=4", f"--rate={RATE}", f"--watches-after={WATCHES_AFTER}"]
    command = [sys.executable, "-m", "tests.chaos", *how, f"--json={written}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(written.read_text())
    assert len(report["faults"]) == len(SHORT) > WATCHES_AFTER
    assert report["events"] > 10_000
    assert min(report["compared"].values()) > 0
    assert not any(report["differing"].values()), done.stdout
