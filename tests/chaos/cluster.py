"""Two hosts with workers, recommenders and a broker, all real processes, and the faults that happen."""

from __future__ import annotations

import random
import resource
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.settings import Settings
from streams.stores.checkpoints import Checkpoints
from streams.stores.folder import RECOMMENDER_FOLDER
from tests.streams.pipeline import PARTITIONS, TOPICS, WAIT_S, Recommender, Worker

SESSION_MS = 6_000
RECOMMENDER = "-recommender"  # its name is that of its host and this
FULL_DISK_BYTES = 4_096
WATCH_S = 0.2
START_S = 120.0
SETTINGS = {
    "session_ms": str(SESSION_MS),
    "checkpoint_ms": "5000",
    "replay_ms": "300",
    "memory_mib": "24",
}


@dataclass
class Host:
    """A host has a disk, and the workers and recommenders that run on it, by name."""

    name: str
    disk: Path
    workers: dict[str, Worker] = field(default_factory=dict)


class Cluster:
    """Host a with two workers on one disk, host b with one, and on each a recommender.

    Processes that end by themselves are started again. "Worker" includes recommenders here.

    Attributes
    ----------
    ended : list[str]
        Workers that ended without a fault of ours being meant to end them, with when.
    """

    def __init__(self, root: Path) -> None:
        self.checkpoints = root / "checkpoints"
        self.broker = EmbeddedKafka(root / "kafka", cache_dir=Settings.model_validate({}).cache_dir)
        self.hosts = [Host("a", root / "a"), Host("b", root / "b")]
        self.ended: list[str] = []
        self._lock = threading.RLock()
        self._frozen: set[str] = set()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    @property
    def bootstrap(self) -> Bootstrap:
        """Kafka's address, which never changes."""
        return self.broker.bootstrap

    def start(self, timeout_s: float = START_S) -> None:
        """Start all processes; Kafka may take so long."""
        self.broker.start(timeout_s)
        create_topics(self.bootstrap, TOPICS, PARTITIONS, 1)
        for name in ("a1", "b1", *(host.name + RECOMMENDER for host in self.hosts)):
            self.start_worker(name)
        self._watcher.start()

    def stop(self) -> None:
        """Let all workers save and end at the same time: a remaining one would take over the others'
        partitions.

        It may have an older store of them, and would send once more what came since. The broker stays.
        """
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for name in self.running():
            self.signal(name, signal.SIGCONT)
        for name in self.running():
            self.signal(name, signal.SIGTERM)
        for host in self.hosts:
            for worker in host.workers.values():
                worker.process.wait(WAIT_S)

    # ------------------------------------------------------------------ workers

    def host_of(self, name: str) -> Host:
        """Return the host that a worker's name belongs to."""
        return next(host for host in self.hosts if host.name == name[0])

    def running(self) -> list[str]:
        """Return the workers that should run."""
        with self._lock:
            return [name for host in self.hosts for name in host.workers]

    def start_worker(self, name: str) -> None:
        """Start a worker."""
        with self._lock:
            host = self.host_of(name)
            role = Recommender if name.endswith(RECOMMENDER) else Worker
            host.workers[name] = role(
                self.bootstrap, host.disk, instance=name, checkpoint_url=str(self.checkpoints), **SETTINGS
            )

    def signal(self, name: str, what: signal.Signals) -> None:
        """Send a worker a signal, if it lives."""
        worker = self.host_of(name).workers.get(name)
        if worker is not None and worker.process.poll() is None:
            worker.process.send_signal(what)

    def kill(self, name: str) -> None:
        """Kill a worker as a power cut would; it is not started again automatically."""
        with self._lock:
            worker = self.host_of(name).workers.pop(name)
        if worker.process.poll() is None:
            worker.stop(signal.SIGKILL)

    def leave(self, name: str) -> None:
        """Let a worker save and end; it is not started again automatically."""
        with self._lock:
            worker = self.host_of(name).workers.pop(name)
        if worker.process.poll() is None:
            worker.stop(signal.SIGTERM)

    def freeze(self, name: str, seconds: float) -> None:
        """Freeze a worker for some time."""
        self.signal(name, signal.SIGSTOP)
        time.sleep(seconds)
        self.signal(name, signal.SIGCONT)

    def fill_disk(self, name: str, seconds: float) -> None:
        """Make every write of a worker beyond some file size fail for a while."""
        worker = self.host_of(name).workers[name]
        try:
            process = psutil.Process(worker.process.pid)
            process.rlimit(resource.RLIMIT_FSIZE, (FULL_DISK_BYTES, resource.RLIM_INFINITY))
            time.sleep(seconds)
            process.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except psutil.NoSuchProcess:
            pass  # it ended, as it may, and was started again

    def wipe(self, host: Host) -> None:
        """Remove a host's disk while its workers run, and give it a new one."""
        with self._lock:
            names = list(host.workers)
            for name in names:
                self.kill(name)
            for folder in ("state", RECOMMENDER_FOLDER):
                shutil.rmtree(host.disk / folder, ignore_errors=True)
            for name in names:
                self.start_worker(name)

    def spoil_checkpoints(self, rng: random.Random) -> int:
        """Damage a file of every task's newest checkpoint; return how many were damaged."""
        store = Checkpoints(str(self.checkpoints), 3)
        spoilt = 0
        for task in {checkpoint.task for checkpoint in store.known()}:
            newest = store.known(task)[0]
            if newest.files:
                path = self.checkpoints / task / "files" / rng.choice(newest.files).stored_as
                raw = bytearray(path.read_bytes())
                if raw:
                    raw[rng.randrange(len(raw))] ^= 0xFF
                    path.write_bytes(raw)
                    spoilt += 1
        return spoilt

    # ------------------------------------------------------------------ broker

    def kill_broker(self, down_s: float) -> None:
        """Kill Kafka as a power cut would, and start it again after a while, on the same port."""
        pid = self.broker.pid
        assert pid is not None
        psutil.Process(pid).kill()
        self.broker.wait()
        self.broker.stop()
        time.sleep(down_s)
        self.broker.start(timeout_s=120)

    # ------------------------------------------------------------------ supervision

    def _watch(self) -> None:
        while not self._stopping.wait(WATCH_S):
            with self._lock:
                for host in self.hosts:
                    for name, worker in list(host.workers.items()):
                        if worker.process.poll() is not None:
                            self.ended.append(f"{name} with {worker.process.returncode}: {worker.log}")
                            self.start_worker(name)
