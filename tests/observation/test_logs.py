"""Logs as JSON: every line of every process is an object."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from streams.process.logs import JsonFormatter
from tests.observation.conftest import System
from tests.streams.pipeline import until


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("who", ["worker", "recommender"])
def test_every_line_of_a_process_is_an_object(system: System, who: str) -> None:
    written = lines(system.processes[who].log)
    assert {line["role"] for line in written} == {who}
    assert {line["pid"] for line in written} == {system.processes[who].process.pid}
    by_message = {line["message"]: line for line in written}
    (opened,) = (line for message, line in by_message.items() if message.startswith("purchases-0: opened at"))
    assert (opened["logger"], opened["level"]) == ("alsobought", "info")
    assert (
        abs(datetime.fromisoformat(opened["time"]).timestamp() - Path(system.home).stat().st_mtime) < 86_400
    )
    assert any(line["logger"].startswith(("faust", "mode")) for line in written), "Faust's, too"


def test_what_the_server_says_is_json_too(system: System, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "alsobought.cli",
        "serve",
        "--port",
        "0",
        "--kafka",
        system.bootstrap,
    ]
    (tmp_path / "alsobought.toml").write_text('log_format = "json"\n')
    said = tmp_path / "said"
    with (
        said.open("wb") as file,
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=file) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().decode().strip()
            until(lambda: said.read_text().endswith("\n"), "what it says")
        finally:
            process.terminate()
    (line,) = lines(said)
    assert line["message"].startswith(f"page: {address}")
    assert (line["role"], line["level"]) == ("server", "info")


def test_an_exception_stays_in_its_line() -> None:
    try:
        raise ValueError("so\nand so")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "no %s\nhere", ("luck",), sys.exc_info())
    (line,) = JsonFormatter("worker").format(record).splitlines()
    content = json.loads(line)
    assert content["message"] == "no luck\nhere"
    assert content["exception"].startswith("Traceback (most recent call last):")
    assert content["exception"].endswith("ValueError: so\nand so")
