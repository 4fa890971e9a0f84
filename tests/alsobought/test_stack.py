"""`alsobought up` as users run it: real purchases, dead workers, stops, restarts, and sudden death."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaProducer

from alsobought.place import Place
from streams.messages.schema import decode_related
from streams.process.heap import TUNABLE, VARIABLE

COMMAND = [sys.executable, "-P", "-m", "alsobought.cli"]
EVENTS = 5_000
LONGEST = 60
BANANAS = "1082185"

pytestmark = pytest.mark.timeout(600)


def environment(data_dir: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("ALSOBOUGHT_KAFKA", VARIABLE)}
    return kept | {"ALSOBOUGHT_DATA_DIR": str(data_dir)}


class Up:
    """A running `alsobought up`."""

    def __init__(self, data_dir: Path) -> None:
        self.place = Place(data_dir)
        self.reported = data_dir / "reported.txt"
        with self.reported.open("wb") as reported:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--port", "0", "--web-port", "0"],
                env=environment(data_dir),
                cwd=data_dir.parent,  # where the file of settings is
                stdout=subprocess.PIPE,
                stderr=reported,
                text=True,
            )
        assert self.process.stdout is not None
        self.bootstrap = self.process.stdout.readline().strip()
        assert self.bootstrap, self.reported.read_text()
        self.all = psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> int:
        pids = self.place.read()["workers"]
        return int(pids[0]) if pids else 0

    def recommender(self) -> int:
        pids = self.place.read()["recommenders"]
        return int(pids[0]) if pids else 0

    def run(self, *words: object) -> str:
        done = subprocess.run(
            [*COMMAND, *map(str, words)],
            env=environment(self.place.data_dir),
            cwd=self.place.data_dir.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def json(self, *words: object) -> Any:
        return json.loads(self.run(*words, "--json"))

    def end(self, number: signal.Signals) -> int:
        self.all += [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if child not in self.all
        ]
        self.process.send_signal(number)
        return self.process.wait(90)


def until(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Up]]:
    started: list[Up] = []
    (tmp_path / "alsobought.toml").write_text(f"partitions = 2\nlist_length = {LONGEST}\n")
    (tmp_path / "data").mkdir()

    def begin() -> Up:
        started.append(Up(tmp_path / "data"))
        return started[-1]

    yield begin
    for up in started:
        if up.process.poll() is None:
            up.end(signal.SIGTERM)
        assert up.process.stdout is not None
        up.process.stdout.close()


def test_a_stack_counts_survives_and_leaves_nothing_running(start: Callable[[], Up]) -> None:
    up = start()
    published = up.run("publish", "purchases", "complete-journey", "--limit", EVENTS)
    assert published.startswith("5,000 records in ")
    with_kafka_python = KafkaProducer(bootstrap_servers=up.bootstrap)
    for value in (b"rubbish", b'{"customer_id": 7}'):
        with_kafka_python.send("purchases", key=b"ann", value=value)
    with_kafka_python.close()

    assert up.json("drain", "--timeout", 60)["purchases"] == EVENTS + 2
    before = up.json("related", BANANAS)
    assert before["item_id"] == BANANAS
    assert 1 <= len(before["related"]) <= 10
    check_lists(up, before)
    check_inspection(up, before)
    letters = [json.loads(line) for line in up.run("dead-letters", "--json").splitlines()]
    assert len(letters) == 2
    assert {letter["topic"] for letter in letters} == {"purchases"}
    assert "rubbish" in up.run("dead-letters")

    check_page(up, before)
    for pid in (up.process.pid, up.worker(), up.recommender()):
        assert psutil.Process(pid).environ()[VARIABLE] == f"{TUNABLE}=1"

    second = subprocess.run(
        [*COMMAND, "up"], env=environment(up.place.data_dir), capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "already runs in" in second.stderr

    killed = up.worker()
    psutil.Process(killed).kill()
    until(lambda: up.worker() not in (0, killed), "a new worker")
    until(lambda: "worker-1 was restarted" in up.reported.read_text(), "a word about it")
    up.run("drain", "--timeout", 60)
    assert counts(up.json("related", BANANAS)) == counts(before)

    killed = up.recommender()
    psutil.Process(killed).kill()
    until(lambda: up.recommender() not in (0, killed), "a new recommender")
    until(lambda: "recommender-1 was restarted" in up.reported.read_text(), "a word about it")
    up.run("drain", "--timeout", 60)

    assert up.end(signal.SIGTERM) == 0
    assert not [process for process in up.all if process.is_running()]
    assert up.place.bootstrap() is None

    again = start()
    assert counts(again.json("related", BANANAS)) == counts(before)
    again.end(signal.SIGKILL)
    until(lambda: not any(process.is_running() for process in again.all), "the end of all its processes")


def check_lists(up: Up, before: dict[str, Any]) -> None:
    lists = [decode_related(line.encode()) for line in up.run("export", "related-items").splitlines()]
    assert len({message.item_id for message in lists}) == len(lists) > 1_000
    assert max(len(message.related) for message in lists) == LONGEST, "workers have the settings of the file"
    (bananas,) = (message for message in lists if message.item_id == BANANAS)
    assert bananas.buyers == before["buyers"]
    assert {e.item_id: e.together for e in bananas.related}.items() >= dict(counts(before)).items()


def check_page(up: Up, before: dict[str, Any]) -> None:
    (page,) = re.findall(r"^page: (http://127\.0\.0\.1:\d+)$", up.reported.read_text(), re.MULTILINE)

    def ask(path: str) -> Any:
        with urllib.request.urlopen(page + path, timeout=20) as answer:
            return json.load(answer)

    until(lambda: ask("/api/status")["ready"], "the page to have read everything")
    until(lambda: counts(ask(f"/api/related/{BANANAS}?k=10")) == counts(before), "the list")
    until(lambda: not any(task["silent"] for task in ask("/api/status")["tasks"]), "every task")
    assert ask("/api/status")["missing"] == []
    port = page.rpartition(":")[2]
    taken = subprocess.run(
        [*COMMAND, "serve", "--port", port],
        env=environment(up.place.data_dir), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert taken.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in taken.stderr


def check_inspection(up: Up, before: dict[str, Any]) -> None:
    item = up.json("inspect", "item", BANANAS)
    assert item["buyers"] == before["buyers"]
    together = {n["item_id"]: n["together"] for n in item["most_together"]}
    assert together.items() >= dict(counts(before)).items()
    assert BANANAS in up.run("inspect", "item", BANANAS)


def counts(message: dict[str, Any]) -> list[tuple[str, int]]:
    return [(entry["item_id"], entry["together"]) for entry in message["related"]]
