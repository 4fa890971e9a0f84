"""A running system says how it is: health, logs, metrics, status, and what the doctor finds.

The tests share a Kafka; the last of them stops what runs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from streams.broker.admin import admin_client
from streams.broker.embedded import EmbeddedKafka
from streams.messages.partitioning import partition_for
from streams.messages.schema import REPORTED
from streams.topics import PURCHASES
from tests.observation.ops_files import OF_PROMETHEUS, exported, expressions, labels_named, named
from tests.observation.system import CUSTOMERS, EVENTS, REFUSED, System, objects, running, sample
from tests.serving.conftest import get
from tests.streams.pipeline import PARTITIONS, until

ALL = ["worker", "recommender", "server"]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def system(
    new_kafka: Callable[[], EmbeddedKafka], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    with running(new_kafka().bootstrap, tmp_path_factory.mktemp("system")) as system:
        yield system


@pytest.mark.parametrize("who", ["worker", "recommender", "server"])
def test_a_process_that_works_lives_and_is_ready(system: System, who: str) -> None:
    until(lambda: system.asked(who, "/readyz") == (200, {"ready": True, "waits_for": []}), f"the {who}")
    assert system.asked(who, "/healthz") == (200, {"lives": True})


@pytest.mark.parametrize("who", ["worker", "recommender"])
def test_every_line_of_a_process_is_an_object(system: System, who: str) -> None:
    written = objects(system.processes[who].log)
    assert {line["role"] for line in written} == {who}
    assert {line["pid"] for line in written} == {system.processes[who].process.pid}
    by_message = {line["message"]: line for line in written}
    (opened,) = (line for message, line in by_message.items() if message.startswith("purchases-0: opened at"))
    assert (opened["logger"], opened["level"]) == ("alsobought", "info")
    assert abs(datetime.fromisoformat(opened["time"]).timestamp() - time.time()) < 3_600
    assert any(line["logger"].startswith(("faust", "mode")) for line in written), "Faust's, too"


def test_what_the_server_says_is_json_too(system: System, tmp_path: Path) -> None:
    words = ["serve", "--port", "0", "--kafka", system.bootstrap.servers]
    command = [sys.executable, "-P", "-m", "alsobought.cli", *words]
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
    (line,) = objects(said)
    assert line["message"].startswith(f"page: {address}")
    assert (line["role"], line["level"]) == ("server", "info")


@pytest.mark.parametrize("who", ALL)
def test_every_metric_has_a_help_text_of_its_own(system: System, who: str) -> None:
    found = system.metrics(who)
    assert [name for name, family in found.items() if not family.documentation.strip()] == []
    assert len({family.documentation for family in found.values()}) == len(found)
    assert sample(found, "alsobought_build_info", role=who) == 1
    assert sample(found, "process_resident_memory_bytes") > 10 << 20


def test_a_worker_says_what_it_counted(system: System) -> None:
    found = system.metrics("worker")
    purchases = [f"{PURCHASES.name}-{p}" for p in range(PARTITIONS)]
    assert sum(sample(found, "alsobought_events_total", task=task) for task in purchases) == EVENTS
    assert sum(sample(found, "alsobought_position", task=task) for task in purchases) >= EVENTS + REFUSED
    assert sum(sample(found, "alsobought_lag_records", task=task) for task in purchases) == 0
    assert sample(found, "alsobought_dead_letters_total") == REFUSED
    assert sample(found, "alsobought_dead_letters_total", topic=PURCHASES.name, reason="json") == REFUSED
    assert sample(found, "alsobought_lists_total") > 0
    assert sample(found, "alsobought_pair_updates_total") > 0
    assert sample(found, "alsobought_ready") == 1
    assert sample(found, "alsobought_rebalances_total") >= 1
    # all partitions of events of two kinds, the catalogue, history changes, and deltas of three kinds
    assert sample(found, "alsobought_tasks") == 7 * PARTITIONS
    for part in ("rows", "histories", "write_buffers", "block_cache"):
        assert sample(found, "alsobought_memory_bytes", part=part) > 0
    assert sample(found, "alsobought_evictions_total") == 0
    until(lambda: unacknowledged(system) == 0, "what the worker sends at the moment")


def unacknowledged(system: System) -> float:
    """In bytes; a drained worker still reports its positions every few seconds."""
    return sample(system.metrics("worker"), "alsobought_memory_bytes", part="unacknowledged")


def test_latency_is_a_histogram_over_every_event(system: System) -> None:
    found = system.metrics("worker")
    name, bought = "alsobought_event_to_list_seconds", {"kind": "bought"}
    counted = sum(
        sample(found, "alsobought_events_total", task=f"pair-deltas-{p}") for p in range(PARTITIONS)
    )
    assert counted >= EVENTS
    count = sample(found, f"{name}_count", **bought)
    # once for each item partition in which it changed something
    assert count == sample(found, f"{name}_bucket", le="+Inf", **bought) == counted
    buckets = [
        s.value
        for s in found[name].samples
        if s.name.endswith("_bucket") and bought.items() <= s.labels.items()
    ]
    assert buckets == sorted(buckets)
    assert 0 < sample(found, f"{name}_sum", **bought) < count * 3_600
    assert sample(found, "alsobought_cycle_seconds_count") > 0


def test_state_is_stored_and_copied(system: System) -> None:
    task = f"{PURCHASES.name}-0"
    until(lambda: sample(system.metrics("worker"), "alsobought_saves_total", task=task) > 0, "a save")
    found = system.metrics("worker")
    assert sample(found, "alsobought_stored_position", task=task) > 0
    assert 0 <= time.time() - sample(found, "alsobought_saved_timestamp_seconds", task=task) < 600
    assert sample(found, "alsobought_save_seconds_count") > 0
    until(
        lambda: sample(system.metrics("worker"), "alsobought_checkpoints_total", task=task) > 0,
        "a checkpoint",
    )
    assert (
        0
        <= time.time()
        - sample(system.metrics("worker"), "alsobought_checkpoint_timestamp_seconds", task=task)
        < 600
    )


def test_a_recommender_says_what_it_read(system: System) -> None:
    found = system.metrics("recommender")
    purchases = [f"{PURCHASES.name}-{p}" for p in range(PARTITIONS)]
    assert sum(sample(found, "alsobought_position", task=task) for task in purchases) >= EVENTS
    assert sample(found, "alsobought_tasks") == 2 * PARTITIONS
    assert sample(found, "alsobought_memory_bytes", part="histories") > 0
    times = sample(found, "alsobought_recommendation_cpu_seconds_count")
    assert times >= CUSTOMERS  # each was recommended to
    assert 0 < sample(found, "alsobought_recommendation_cpu_seconds_sum") < times * 0.1
    assert sample(system.metrics("worker"), "alsobought_recommendation_cpu_seconds_count") == 0


@pytest.mark.parametrize(("who", "path"), [("worker", "/related/{id}"), ("server", "/api/related/{id}")])
def test_requests_are_counted_by_route_and_status(system: System, who: str, path: str) -> None:
    asked = path.replace("{id}", "absent")
    before = system.metrics(who)["alsobought_http_requests"].samples
    known = {(s.labels["path"], s.labels["status"]): s.value for s in before}
    for _ in range(3):
        assert get(f"{system.addresses[who]}{asked}")[0] == 404
    assert get(f"{system.addresses[who]}/nowhere/at/all")[0] == 404
    found = system.metrics(who)
    assert (
        sample(found, "alsobought_http_requests_total", path=path, status="404")
        == known.get((path, "404"), 0) + 3
    )
    assert sample(found, "alsobought_http_request_seconds_count", path=path) >= 3
    assert "/nowhere/at/all" not in {s.labels["path"] for s in found["alsobought_http_requests"].samples}


def test_alerts_and_dashboard_name_only_what_is_exported(system: System) -> None:
    families = [system.metrics(who) for who in ALL]
    known = set().union(*map(exported, families)) | OF_PROMETHEUS
    labels = {"instance", "job", "le"}
    labels |= {label for found in families for f in found.values() for s in f.samples for label in s.labels}
    labels |= {"algorithm", "variant"}  # of hit rates, which there are none of here: test_metrics of serving
    for name, (expression, text) in expressions().items():
        assert named(expression) - known == set(), name
        assert labels_named(expression, text) - labels == set(), name


def test_status_says_who_owns_what_and_how_far_it_is(system: System) -> None:
    def checkpointed() -> bool:
        return all(
            task["checkpoint_s"] is not None for name, task in system.status()[1].items() if name[0] == "p"
        )

    until(checkpointed, "checkpoints of purchases, and pair deltas")
    processes, tasks = system.status()
    worker = processes["worker"]
    assert (worker["address"], worker["tasks"]) == (system.addresses["worker"], 7 * PARTITIONS)
    assert (worker["ready"], worker["version"], worker["trouble"]) == (True, version("alsobought"), None)
    assert worker["memory_bytes"] > 10 << 20
    assert worker["memory_parts"]["rows"] > 0
    assert processes["recommender"]["tasks"] == 2 * PARTITIONS
    assert len(tasks) == 9 * PARTITIONS
    assert sum(tasks[f"{PURCHASES.name}-{p}"]["applied"] for p in range(PARTITIONS)) >= EVENTS
    for name, task in tasks.items():
        owner = "recommender" if name.startswith(REPORTED) else "worker"
        assert (task["process"], task["silent"], task["lag"]) == (system.addresses[owner], False, 0), name
        assert task["reported_s"] < 15
        assert task["store_bytes"] is not None, name
    shown = system.command("status").stdout
    assert f"{9 * PARTITIONS} tasks, 0 records not counted, 0 tasks without an owner" in shown
    number = re.search(rf"^(\d) +{re.escape(system.addresses['worker'])} +worker ", shown, re.MULTILINE)
    assert number is not None, shown
    assert re.search(rf"^purchases-0 +{number[1]} +counts ", shown, re.MULTILINE)


def test_the_doctor_finds_nothing_wrong_and_then_what_is(system: System) -> None:
    found = system.findings()
    assert {about: level for about, level, _ in found} == dict.fromkeys(
        [
            "packages",
            "java",
            "disk",
            "checkpoints",
            "kafka",
            "rights",
            "topics",
            "partitioner",
            "clock",
            "processes",
        ],
        "ok",
    ), found
    # the partition of another client's partitioner, and a topic that would lose what is counted
    key = next(key for key in map(str, range(100)) if partition_for(key.encode(), PARTITIONS) == 1)
    event = b'{"customer_id": "%s", "item_id": "tea", "timestamp": 1750000000000}' % key.encode()
    system.wires.producer.send("watches", key=key.encode(), value=event, partition=2).get(30)
    with admin_client(system.bootstrap) as admin:
        resource = ConfigResource(
            ConfigResourceType.TOPIC, PURCHASES.name, configs={"cleanup.policy": "compact"}
        )
        admin.alter_configs([resource])
    wrong = {about: (level, text) for about, level, text in system.findings() if level != "ok"}
    assert wrong.keys() == {"partitioner", "topics"}
    assert wrong["partitioner"][0] == "warning"
    assert "watches: 1 of the newest 1 events" in wrong["partitioner"][1]
    assert wrong["topics"][0] == "error"
    assert "kafka-configs.sh" in wrong["topics"][1]
    assert system.command("doctor").stdout.count("\nerror ") == 1


def test_without_processes_status_says_how_far_they_were_and_the_doctor_what_to_start(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last: nothing runs afterwards."""
    monkeypatch.setattr("alsobought.status.SILENT_S", 0.5)
    _, before = system.status()
    system.stop()
    found = json.loads(system.command("status", "--json").stdout)
    assert len(found["processes"]) == 2
    assert all("does not answer" in process["trouble"] for process in found["processes"])
    now = {task["task"]: task for task in found["tasks"]}
    assert all(now[name]["process"] == task["process"] for name, task in before.items())
    assert all(task["applied"] is not None and task["store_bytes"] is None for task in now.values())
    assert "does not answer" in system.command("status").stdout

    def told() -> list[str]:
        return [
            text for about, level, text in system.findings() if (about, level) == ("processes", "warning")
        ]

    until(
        lambda: any("nobody counts" in text and "start `alsobought worker`" in text for text in told()),
        "silence",
    )
