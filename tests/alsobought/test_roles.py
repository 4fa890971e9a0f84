"""`alsobought worker` and `alsobought recommender` each become their process, with the right settings."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from alsobought.draining import drain
from streams.broker.embedded import EmbeddedKafka
from streams.kinds import LISTED
from streams.messages.schema import REPORTED
from streams.process.heap import TUNABLE, VARIABLE
from streams.topics import PURCHASES
from tests.events import purchases
from tests.streams.pipeline import PARTITIONS, Wires, until
from tests.streams.test_pipeline import keyed

COMMAND = [sys.executable, "-P", "-m", "alsobought.cli"]


@pytest.mark.timeout(240)
def test_drain_waits_for_both_roles_and_says_which_is_missing(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    wires = Wires(kafka.bootstrap)
    running: list[subprocess.Popen[bytes]] = []

    (tmp_path / "my.toml").write_text(
        'progress_ms = 200\nsession_ms = 6000\ndata_dir = "data"\nlog_format = "json"\n'
    )

    def start(role: str) -> None:
        command = [*COMMAND, "--settings", "my.toml", role, "--kafka", kafka.bootstrap.servers]
        plain = {name: value for name, value in os.environ.items() if name != VARIABLE}
        with (tmp_path / f"{role}.log").open("wb") as log:
            running.append(subprocess.Popen(command, env=plain, stdout=log, stderr=log, cwd=tmp_path))

    try:
        wires.publish(PURCHASES.name, keyed(purchases(3, 20, 30, 200)))
        start("worker")
        wires.drain()
        missing = ", ".join(f"{REPORTED}{PURCHASES.name}-{p}" for p in range(PARTITIONS))
        said: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            drained = pool.submit(drain, kafka.bootstrap, LISTED, 200.0, said.append)
            until(
                lambda: any(f"no recommender has reported for {missing}" in left for left in said), "a word"
            )
            assert "start one with `alsobought recommender`" in said[-1]
            assert not drained.done()
            start("recommender")
            assert drained.result().records[PURCHASES.name] == 200
        assert [psutil.Process(one.pid).environ()[VARIABLE] for one in running] == [f"{TUNABLE}=1"] * 2
        assert (tmp_path / "data" / "state" / "purchases-0").is_dir()
        assert (tmp_path / "data" / "recommender" / "purchases-0").is_dir()
        assert not (tmp_path / "data" / "recommender" / "pair-deltas-0").exists()
    finally:
        wires.close()
        for process in running:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(60) for process in running]
    assert codes == [0, 0]
    for role in ("worker", "recommender"):
        lines = (tmp_path / f"{role}.log").read_text().splitlines()
        assert {json.loads(line)["role"] for line in lines} == {role}
