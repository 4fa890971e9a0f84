from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.broker import jars
from streams.broker.admin import admin_client
from streams.broker.embedded import EmbeddedKafka
from streams.broker.errors import BrokerDied, DataDirBusy, DataDirUnusable, PortTaken, StartError
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.settings import Settings
from streams.topics import DAY_MS, PAIR_DELTAS, PURCHASES

CACHE = Settings.model_validate({}).cache_dir
IN_2017_MS = int(datetime(2017, 3, 1, tzinfo=UTC).timestamp() * 1000)


def until(condition: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def produce(bootstrap: Bootstrap, topic: str, value: bytes, timestamp_ms: int | None = None) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap.servers, max_request_size=17 << 20)
    with contextlib.closing(producer):
        producer.send(topic, value, partition=0, timestamp_ms=timestamp_ms).get(timeout=30)


def consume_all(bootstrap: Bootstrap, topic: str) -> list[bytes]:
    with contextlib.closing(KafkaConsumer(bootstrap_servers=bootstrap.servers)) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        values: list[bytes] = []
        deadline = time.monotonic() + 30
        while consumer.position(partition) < end:
            assert time.monotonic() < deadline, f"{topic} stopped short of offset {end}"
            for records in consumer.poll(timeout_ms=1000).values():
                values += [record.value for record in records]
        return values


def is_gone(pid: int) -> bool:
    # A zombie counts as ended: in a container nobody may reap the children that process 1 adopted.
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_records_survive_a_stop_a_kill_and_a_restart(tmp_path: Path) -> None:
    # Home directories may have spaces, commas and letters beyond ASCII in their paths.
    broker = EmbeddedKafka(tmp_path / "ein Käfer, b", cache_dir=CACHE)
    with broker:
        address = broker.bootstrap
        assert create_topics(address, [PURCHASES, PAIR_DELTAS], 1, 1) == ["purchases", "pair-deltas"]
        produce(address, "purchases", b"first")
        largest = os.urandom(1 << 20) * 15 + b"end"
        produce(address, "pair-deltas", largest)
        assert consume_all(address, "pair-deltas") == [largest]
        pid = broker.pid
        assert pid is not None
        with pytest.raises(StartError, match="runs already"):
            broker.start()
    assert is_gone(pid)
    assert not broker.alive
    assert broker.pid is None
    broker.stop()
    # Not after the kill: the next broker may report as an error what the dead one left undone.
    assert [line for line in broker.log.read_text().splitlines() if " ERROR " in line] == []

    broker.start()
    try:
        assert broker.bootstrap == address, "clients keep the address"
        assert consume_all(address, "purchases") == [b"first"]
        produce(address, "purchases", b"second")
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        assert broker.wait(30)
        assert not broker.alive
    finally:
        broker.stop()

    # The address is no longer free, so another one is taken.
    with socket.create_server(("127.0.0.1", int(address.servers.rpartition(":")[2]))), broker:
        assert broker.bootstrap != address
        assert consume_all(broker.bootstrap, "purchases") == [b"first", b"second"]
    # (After a kill this takes 9 s more: KRaft lets the dead broker's session run out.)
    assert "Kafka Server started" in broker.log.read_text()


PARENT = """
import sys, threading
from pathlib import Path
from streams.broker.embedded import EmbeddedKafka

broker = EmbeddedKafka(Path(sys.argv[1]), cache_dir=Path(sys.argv[2]))
# Started by a thread that ends: the broker must outlive the thread, and not the process.
thread = threading.Thread(target=broker.start)
thread.start()
thread.join()
print(broker.pid, flush=True)
broker.wait()
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(CACHE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_a_killed_parent_leaves_no_broker_and_its_directory_can_be_used_at_once(
    tmp_path: Path, parent: subprocess.Popen[str]
) -> None:
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    # The broker survives the end of the thread that started it: it answers, twice.
    with pytest.raises(DataDirBusy) as caught:
        EmbeddedKafka(tmp_path, cache_dir=CACHE).start()
    assert f"pid {pid}, at 127.0.0.1:" in str(caught.value)
    assert "ALSOBOUGHT_DATA_DIR" in str(caught.value)
    address = str(caught.value).split(", at ")[1].split(")")[0]
    with admin_client(Bootstrap(address)) as admin:
        assert len(admin.describe_cluster()["brokers"]) == 1
    parent.kill()
    parent.wait()
    with EmbeddedKafka(tmp_path, cache_dir=CACHE) as heir:
        assert heir.bootstrap == Bootstrap(address)
        assert is_gone(pid)


def test_a_killed_guard_leaves_no_broker_after_stop(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path, cache_dir=CACHE) as broker:
        pid = broker.pid
        assert pid is not None
        guard = psutil.Process(pid).parent()
        assert guard is not None
        guard.kill()
        assert broker.wait(10)
    until(lambda: is_gone(pid), "the JVM ends")


def test_old_events_outlive_retention_because_kafka_stamps_their_arrival(tmp_path: Path) -> None:
    kept = dataclasses.replace(PURCHASES, retention_ms=DAY_MS)
    quick = {"log.retention.check.interval.ms": "500", "log.initial.task.delay.ms": "500"}
    with EmbeddedKafka(tmp_path, cache_dir=CACHE, properties=quick) as broker:
        create_topics(broker.bootstrap, [kept], 1, 1)
        with admin_client(broker.bootstrap) as admin:
            config = {**kept.config, "message.timestamp.type": "CreateTime"}
            control = {"num_partitions": 1, "replication_factor": 1, "configs": config}
            admin.create_topics({"control": control}, wait_for_metadata=True)
        for topic in ("purchases", "control"):
            produce(broker.bootstrap, topic, b"bought in 2017", timestamp_ms=IN_2017_MS)
        # The check that empties the control topic has left the other one alone.
        until(lambda: consume_all(broker.bootstrap, "control") == [], "retention empties the control topic")
        assert consume_all(broker.bootstrap, "purchases") == [b"bought in 2017"]


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} of 127.0.0.1 is taken by another program"):
            EmbeddedKafka(tmp_path, port=port, cache_dir=CACHE).start()
    # The failed start released the directory; once the port is free again, the same port is used.
    with EmbeddedKafka(tmp_path, port=port, cache_dir=CACHE) as broker:
        assert broker.bootstrap == Bootstrap(f"127.0.0.1:{port}")


def test_a_broker_that_dies_while_starting_says_why(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path, cache_dir=CACHE, properties={"num.io.threads": "0"})
    with pytest.raises(BrokerDied, match=r"num\.io\.threads"):
        broker.start()
    assert broker.pid is None


def test_an_unusable_data_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataDirUnusable, match=r"file/broker: Not a directory.*ALSOBOUGHT_DATA_DIR"):
        EmbeddedKafka(tmp_path / "file", cache_dir=CACHE).start()


def test_an_installed_kafka_is_used_instead_of_the_download(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "libs").symlink_to(jars.ensure_jars(CACHE)[0].parent)
    nowhere = tmp_path / "no cache"
    home = tmp_path / "kafka"
    with EmbeddedKafka(tmp_path, cache_dir=nowhere, kafka_home=home) as broker:
        assert broker.alive
    assert not nowhere.exists()


MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(
    not MODE.exists() or "[never]" in MODE.read_text(), reason="where the system has huge pages"
)
def test_its_heap_lies_in_huge_pages(kafka: EmbeddedKafka) -> None:
    lines = Path(f"/proc/{kafka.pid}/smaps_rollup").read_text().splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith("AnonHugePages:"))
    assert kib > 32 << 10
