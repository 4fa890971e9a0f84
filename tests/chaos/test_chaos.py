"""A short chaos run causes one fault of each kind on real purchases, and then compares every count.

The first watch comes after some of the faults, when there are thousands of purchases.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import SHORT

RATE = 400
WATCHES_AFTER = 3
LONGEST_S = 840.0


@pytest.mark.timeout(960)
def test_nothing_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    # it has a process of its own, because kafka-python leaves sockets open when a broker dies
    written = tmp_path / "report.json"
    how = ["--short", "--seed=4", f"--rate={RATE}", f"--watches-after={WATCHES_AFTER}"]
    command = [sys.executable, "-m", "tests.chaos", *how, f"--json={written}"]
    log = tmp_path / "log"
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            assert process.wait(LONGEST_S) == 0, log.read_text()
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # so that it ends the processes that it started
            pytest.fail(f"not done after {LONGEST_S:g} s:\n{log.read_text()}")
    report = json.loads(written.read_text())
    assert len(report["faults"]) == len(SHORT) > WATCHES_AFTER
    assert report["events"] > 10_000
    assert min(report["compared"].values()) > 0
    assert not any(report["differing"].values()), log.read_text()
