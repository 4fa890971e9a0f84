"""The short chaos run: one fault of each kind that differs, on real purchases, then every count."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SEED = 4
RATE = 400


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    # in a process of its own: kafka-python leaves sockets open when a broker dies
    told = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.chaos", "--short", f"--seed={SEED}", f"--rate={RATE}"]
    done = subprocess.run([*command, f"--json={told}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(told.read_text())
    assert len(report["faults"]) >= 6
    assert report["events"] > 10_000
    assert min(report["compared"].values()) > 0
    assert not any(report["differing"].values()), done.stdout
