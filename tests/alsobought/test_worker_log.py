"""The log of a worker of a local stack, which runs for months."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alsobought.local import worker_process
from alsobought.local.worker_process import WorkerProcess
from streams.connections.bootstrap import Bootstrap
from streams.settings import Settings


@pytest.mark.parametrize(("size", "begun_anew"), [(100, False), (101, True)])
def test_a_large_log_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, begun_anew: bool
) -> None:
    monkeypatch.setattr(worker_process, "LARGEST_LOG", 100)
    settings, words = Settings(data_dir=tmp_path), "said something"
    monkeypatch.setattr(
        worker_process,
        "worker_command",
        lambda *_: [sys.executable, "-c", f"import sys; sys.stderr.write({words!r})"],
    )
    worker = WorkerProcess("worker", 1, settings, Bootstrap("127.0.0.1:1"), tmp_path / "data", tmp_path)
    worker.log.write_text("x" * size)
    old = worker.log.with_suffix(".log.old")
    old.write_text("older")
    worker.start()
    worker.wait()
    assert worker.log.read_text() == (words if begun_anew else "x" * size + words)
    assert old.read_text() == ("x" * size if begun_anew else "older")
