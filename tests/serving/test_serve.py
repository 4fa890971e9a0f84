"""Tests of `alsobought serve` as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from serving.server import NICE
from streams.process.heap import TUNABLE, VARIABLE
from tests.conftest import STEP_BACK
from tests.serving.conftest import Shop, get
from tests.streams.pipeline import until


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_ends_on_a_signal(shop: Shop, how: signal.Signals) -> None:
    steps_back = how == signal.SIGTERM
    command = [sys.executable, "-P", "-m", "alsobought.cli", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--kafka", shop.bootstrap.servers],
        env={**os.environ, STEP_BACK: str(steps_back).lower(), VARIABLE: ""},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        until(lambda: b'"ready":true' in get(f"{address}/api/status")[1], "the read model")
        assert b'"Milk, 1 l"' in get(f"{address}/api/related/tea")[1]
        # workers have a higher priority, unless the settings say otherwise
        assert psutil.Process(process.pid).nice() == min(19, os.nice(0) + NICE * steps_back)
        environment = psutil.Process(process.pid).environ()
        process.send_signal(how)
        assert process.wait(30) == 0
        assert environment[VARIABLE] == f"{TUNABLE}=1"
        assert process.stderr.read().splitlines() == [
            f"page: {address}, API below {address}/api/, metrics at {address}/metrics. Ctrl-C stops it."
        ]
