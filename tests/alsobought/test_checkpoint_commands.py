"""Tests of `checkpoint now`, `list`, `verify` and `restore` with a real Kafka and real workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from alsobought.cli import app
from alsobought.place import Place
from state.storage.rocks_store import RocksStore
from streams.broker.embedded import EmbeddedKafka
from streams.kinds import LISTED, counted_of_kinds
from streams.stores.checkpoints import Checkpoint, Checkpoints
from streams.topics import PURCHASES
from tests.oracles.counts import Oracle
from tests.streams.pipeline import PARTITIONS, Wires, Worker, until
from tests.streams.test_pipeline import WINDOW, check, events_of, real_records

REAL = 6_000
COUNTED = counted_of_kinds(LISTED)
TASKS = sorted(f"{spec.name}-{partition}" for spec in COUNTED for partition in range(PARTITIONS))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def said(*words: object) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA", "DATA_DIR", "CHECKPOINT_URL"):
        monkeypatch.delenv(f"ALSOBOUGHT_{name}", raising=False)


def publish_and_store(wires: Wires, records: list[tuple[bytes, bytes]]) -> None:
    wires.publish(PURCHASES.name, records)
    wires.drain()
    ends = {f"{s.name}-{p}": end for s in COUNTED for p, end in wires.ends(s.name).items()}

    def stored() -> bool:
        wires.poll_progress()
        return all(wires.tasks[task].stored == end for task, end in ends.items())

    until(stored, "all of it stored")


def spoil(url: Path, newest: Checkpoint, older: Checkpoint) -> str:
    """Change a byte of a file that only the newest checkpoint has; return the file's name."""
    own = {file.sha256 for file in newest.files} - {file.sha256 for file in older.files}
    file = next(f for f in newest.files if f.sha256 in own and f.bytes)
    path = url / newest.task / "files" / file.sha256
    raw = path.read_bytes()
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    return file.name


@pytest.mark.timeout(300)
def test_taken_listed_verified_and_restored(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    records = real_records(REAL)
    first, second, third = records[: REAL // 3], records[REAL // 3 : REAL * 2 // 3], records[REAL * 2 // 3 :]
    url, data = tmp_path / "checkpoints", tmp_path / "data"
    worker = Worker(kafka.bootstrap, data, checkpoint_url=str(url))
    try:
        publish_and_store(wires, first)
        taken = said("checkpoint", "now", "--kafka", kafka.bootstrap.servers)
        assert [(one["task"], one["number"]) for one in taken] == [(task, 1) for task in TASKS]
        assert all(one["position"] == wires.tasks[one["task"]].stored for one in taken)
        assert all(one["uploaded_bytes"] > 0 for one in taken if one["position"])

        publish_and_store(wires, second)
        table = run("checkpoint", "now", "--kafka", kafka.bootstrap.servers)
        assert table.exit_code == 0
        assert [line.split()[0] for line in table.stdout.splitlines()[-len(TASKS) :]] == TASKS
        positions = {task: wires.tasks[task].stored for task in TASKS}
        listed = said("checkpoint", "list", "--url", url)
        assert [(c["task"], c["number"]) for c in listed] == [(t, n) for t in TASKS for n in (2, 1)]
        assert {c["task"]: c["position"] for c in listed if c["number"] == 2} == positions
        assert "purchases-3" in run("checkpoint", "list", "--url", url).stdout
        verified = run("checkpoint", "verify", "--url", url)
        assert verified.exit_code == 0
        assert verified.stdout.splitlines() == [f"{task} {n}: ok" for task in TASKS for n in (2, 1)]

        held = run("checkpoint", "restore", "--url", url, "--data-dir", data)
        assert held.exit_code == 1
        assert "-0/1 open: stop it first" in held.stderr
    finally:
        assert worker.stop() == 0

    newest, older = Checkpoints(str(url), 3).known("purchases-0")
    name = spoil(url, newest, older)
    verified = run("checkpoint", "verify", "purchases-0", "--url", url)
    assert verified.exit_code == 1
    damaged, whole = verified.stdout.splitlines()
    assert damaged.startswith(f"purchases-0 2: {name} (")
    assert "is damaged" in damaged
    assert whole == "purchases-0 1: ok"
    assert "1 of 2 checkpoints cannot be used" in verified.stderr

    new = tmp_path / "new"
    asked = ["--url", url, "--data-dir", new, "--kafka", kafka.bootstrap.servers]
    refused = run("checkpoint", "restore", "purchases-0", "--number", 2, *asked)
    assert refused.exit_code == 1
    assert f"checkpoint 2 of purchases-0 cannot be used: {name}" in refused.stderr
    restored = run("checkpoint", "restore", *asked)
    assert restored.exit_code == 0, restored.stderr
    positions["purchases-0"] = older.position
    assert restored.stdout.splitlines() == [
        f"{task}: checkpoint {1 if task == 'purchases-0' else 2}, offset {positions[task]},"
        f" is {new / 'state' / task / '1'}"
        for task in TASKS
    ]

    wires.publish(PURCHASES.name, third)
    worker = Worker(kafka.bootstrap, new)
    try:
        wires.drain()
        check(wires.lists(), Oracle(WINDOW).feed(events_of(records)))
        log = worker.log.read_text()
        assert all(f"{task}: opened at offset {positions[task]} in" in log for task in TASKS)
        assert min(offset for task, offset in positions.items() if task.startswith("purchases")) > 0
    finally:
        assert worker.stop() == 0


@pytest.mark.timeout(240)
def test_workers_that_cannot_take_any(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    alone = run("checkpoint", "now", "--kafka", kafka.bootstrap.servers)
    assert alone.exit_code == 1
    assert alone.stderr.startswith("alsobought: no worker is running: start one with")

    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        publish_and_store(wires, real_records(50))
        without = run("checkpoint", "now", "--kafka", kafka.bootstrap.servers)
        assert without.exit_code == 1
        assert "there are no checkpoints: set ALSOBOUGHT_CHECKPOINT_URL" in without.stderr
    finally:
        assert worker.stop() == 0

    # its reports exist, but the worker is gone
    assert "no worker is running" in run("checkpoint", "now", "--kafka", kafka.bootstrap.servers).stderr

    url = tmp_path / "checkpoints"
    worker = Worker(kafka.bootstrap, tmp_path / "data", checkpoint_url=str(url))
    try:
        publish_and_store(wires, real_records(60)[50:])
        url.write_text("a file where the folder should be")
        full = run("checkpoint", "now", "--kafka", kafka.bootstrap.servers)
        assert full.exit_code == 1
        assert "cannot write a checkpoint of " in full.stderr
        assert f" to {url}" in full.stderr
    finally:
        url.unlink()
        assert worker.stop() == 0


def _take(tmp_path: Path, url: Path, tasks: list[str]) -> None:
    for task in tasks:
        store = RocksStore(tmp_path / "there" / task / "1")
        store.write([(b"key", b"value")])
        Checkpoints(str(url), 3).save(task, store, 7, "topics")
        store.close()


def test_without_checkpoints_it_says_so(tmp_path: Path) -> None:
    for word in ("list", "verify", "restore"):
        result = run("checkpoint", word)
        assert result.exit_code == 1
        assert "set ALSOBOUGHT_CHECKPOINT_URL (or --url)" in result.stderr
    url = tmp_path / "none"
    assert run("checkpoint", "list", "--url", url).stdout == f"no checkpoints at {url}\n"
    assert said("checkpoint", "list", "--url", url) == []
    for words in (("verify",), ("restore", "--data-dir", str(tmp_path))):
        result = run("checkpoint", *words, "--url", url)
        assert result.exit_code == 1
        assert str(url) in result.stderr
    assert "nosuch://x" in run("checkpoint", "list", "--url", "nosuch://x").stderr


def test_restoring_without_kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, data = tmp_path / "checkpoints", tmp_path / "data"
    _take(tmp_path, url, ["items-0", "purchases-0"])
    monkeypatch.setenv("ALSOBOUGHT_CHECKPOINT_URL", str(url))
    (url / "holiday-2026").mkdir()  # this one belongs to somebody else
    result = run("checkpoint", "restore", "--data-dir", data)
    assert result.exit_code == 0
    assert "no Kafka is known (--kafka): whether the checkpoints are of its topics" in result.stderr
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == ["items-0", "purchases-0"]
    result = run("checkpoint", "restore", "items-0", "--data-dir", data, "--kafka", "127.0.0.1:1")
    assert "no Kafka answers at 127.0.0.1:1: whether" in result.stderr
    assert (data / "state" / "items-0" / "2" / "CURRENT").exists(), "the one that was there stays"

    result = run("checkpoint", "restore", "pair-deltas-0", "--data-dir", data)
    assert result.exit_code == 1
    assert "no checkpoints of pair-deltas-0, but of items-0, purchases-0" in result.stderr
    result = run("checkpoint", "restore", "--number", 1, "--data-dir", data)
    assert result.exit_code == 1
    assert "name the TASK" in result.stderr
    result = run("checkpoint", "restore", "items-0", "--number", 5, "--data-dir", data)
    assert result.exit_code == 1
    assert "has no checkpoint 5 of items-0" in result.stderr


def test_restoring_beside_a_local_stack(tmp_path: Path) -> None:
    url = tmp_path / "checkpoints"
    _take(tmp_path, url, ["items-0"])
    place = Place(tmp_path)
    place.write("127.0.0.1:1", [])  # its only worker is being started again
    result = run("checkpoint", "restore", "--url", url, "--data-dir", tmp_path)
    assert result.exit_code == 1
    assert "has workers in" in result.stderr
    assert not (tmp_path / "state").exists()
    place.write("127.0.0.1:1", None)  # only Kafka runs
    assert run("checkpoint", "restore", "--url", url, "--data-dir", tmp_path).exit_code == 0
