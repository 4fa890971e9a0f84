"""Apache Kafka as a child process: one node, KRaft, on loopback, its data kept in the data directory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from streams.broker import guard, jars
from streams.broker.admin import admin_client
from streams.broker.class_archive import ClassArchive
from streams.broker.datadir import BrokerDir
from streams.broker.errors import BrokerDied, KafkaUnreachable, StartError
from streams.broker.java import bundled_java, find_java
from streams.broker.jvm import Jvm, format_storage
from streams.broker.properties import HOST, render, server_properties
from streams.connections.bootstrap import Bootstrap

ENDED = 128 + signal.SIGTERM
"""What the guard ends with when Kafka has closed its files after SIGTERM."""

_PORT_LOST = re.compile(r"BindException|Address already in use")


class EmbeddedKafka:
    """A broker that lives as long as this process, or until `stop`; its data outlive both.

    Parameters
    ----------
    data_dir
        Its files are under `data_dir`/broker; a second broker on the same directory is refused.
    port
        Where clients connect, on loopback only. 0: the port it had last if still free, else any free one.
    cache_dir
        Where the downloaded Kafka (43 MB) and the archive of its classes (50 MB) are kept.
    kafka_home
        An installed Kafka, whose libs/ are used instead of the download.
    heap_mib
        The largest heap of its JVM; it takes some 150 MiB more.
    properties
        Further broker properties; they win over those of `server_properties`.
    progress
        Called while Kafka is being downloaded; see `jars.OnProgress`. By default a line on standard error.
    archives
        Whether its end may take some ten seconds more, once, so that later starts take less
        (`streams.broker.class_archive`).

    Examples
    --------
    with EmbeddedKafka(settings.data_dir, cache_dir=settings.cache_dir) as broker:
        create_topics(broker.bootstrap, topics.ALL, partitions=4, replication=1)
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        cache_dir: Path,
        kafka_home: Path | None = None,
        heap_mib: int = 512,
        properties: Mapping[str, str] | None = None,
        progress: jars.OnProgress = jars.stderr_progress,
        archives: bool = False,
    ) -> None:
        self._dir = BrokerDir(data_dir)
        self._port = port
        self._cache_dir = cache_dir
        self._kafka_home = kafka_home
        self._heap_mib = heap_mib
        self._extra = dict(properties or {})
        self._progress = progress
        self._archives = archives
        self._archive: ClassArchive | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._jvm: psutil.Process | None = None
        self._bootstrap = ""

    def start(self, timeout_s: float = 60) -> None:
        """Start the broker and return when it answers; the download comes before `timeout_s` begins.

        Raises
        ------
        BrokerError
            JavaNotFound, a JarsError or a StartError; nothing is left running.
        """
        if self._guard is not None:
            raise StartError(
                f"this broker runs already, at {self._bootstrap}; stop() it before another start()."
            )
        jvm = self._jvm_to_run()
        self._archive = self._archive_of(jvm)
        lock = self._dir.acquire(patience_s=guard.GRACE_S + 5)
        deadline = time.monotonic() + timeout_s
        try:
            with lock:  # ours to close: the guard and the JVM have inherited it
                self._start(jvm, lock, deadline)
        except BaseException:
            self.stop()
            raise

    @property
    def bootstrap(self) -> Bootstrap:
        """Where clients connect without security: 127.0.0.1:PORT; empty before the first start."""
        return Bootstrap(self._bootstrap)

    @property
    def pid(self) -> int | None:
        """The JVM's process id, or None when it is not running."""
        return self._jvm.pid if self._jvm is not None else None

    @property
    def alive(self) -> bool:
        """Whether the broker's process runs."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def log(self) -> Path:
        """The broker's log file."""
        return self._dir.log

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the broker to end by itself; return whether it has."""
        if self._guard is not None:
            try:
                self._guard.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return False
        return True

    def stop(self) -> None:
        """End the broker: SIGTERM, after 30 s SIGKILL. Harmless when it is not running."""
        whole = False
        if self._guard is not None:
            for pipe in (self._guard.stdin, self._guard.stdout):
                if pipe is not None:
                    pipe.close()  # the guard ends the JVM when its standard input is closed
            whole = self._guard.wait() == ENDED
        if self._jvm is not None and self._jvm.is_running():
            # Only when somebody killed the guard itself; is_running compares start times, not just the pid.
            self._jvm.terminate()
            _, stubborn = psutil.wait_procs([self._jvm], timeout=guard.GRACE_S)
            for process in stubborn:
                process.kill()
        self._guard = self._jvm = None
        if self._archive is not None:
            self._archive.keep(whole=whole)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def archived(self) -> bool | None:
        """Whether there is an archive of its classes for a fast start; None: its Java can have none."""
        archive = self._archive_of(self._jvm_to_run())
        return archive.find() is not None if archive.possible else None

    def _jvm_to_run(self) -> Jvm:
        return Jvm(find_java(bundled=bundled_java()).path, tuple(self._jars()))

    def _archive_of(self, jvm: Jvm) -> ClassArchive:
        return ClassArchive(self._cache_dir, jvm, writing=self._archives)

    def _jars(self) -> list[Path]:
        if self._kafka_home is not None:
            return jars.installed_jars(self._kafka_home)
        return jars.ensure_jars(self._cache_dir, progress=self._progress)

    def _start(self, jvm: Jvm, lock: IO[str], deadline: float) -> None:
        for attempts_left in (2, 1, 0):
            ports = self._dir.choose_ports(self._port)
            self._bootstrap = f"{HOST}:{ports[0]}"
            self._dir.properties.write_text(render(server_properties(*ports, self._extra)), encoding="ascii")
            self._dir.console.write_bytes(b"")
            if not self._dir.formatted:
                format_storage(jvm, self._dir, deadline - time.monotonic())
            try:
                self._launch(jvm, lock)
                self._await_answer(deadline)
            except BrokerDied as error:
                # Between our look and the broker's bind another program may take a port.
                if self._port or not attempts_left or not _PORT_LOST.search(str(error)):
                    raise
                self.stop()
            else:
                self._dir.remember_ports(*ports)
                return

    def _launch(self, jvm: Jvm, lock: IO[str]) -> None:
        heap = (f"-Xmx{self._heap_mib}m", f"-Xms{min(self._heap_mib, 128)}m", "-XX:+ExitOnOutOfMemoryError")
        command = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid())]
        flags = (*heap, *(self._archive.flags if self._archive is not None else ()))
        command += jvm.command(self._dir.logs, flags, "kafka.Kafka", str(self._dir.properties))
        with self._dir.console.open("ab") as console:
            self._guard = subprocess.Popen(
                command,
                cwd=self._dir.root,
                env=jvm.environ(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=console,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        try:
            self._jvm = psutil.Process(int(line))
        except (ValueError, psutil.NoSuchProcess):
            raise self._died("ended at once") from None
        self._dir.claim(lock, broker=self._jvm.pid, bootstrap=self._bootstrap)

    def _await_answer(self, deadline: float) -> None:
        while self.alive and time.monotonic() < deadline:
            try:
                # Comes back at once while the port is closed; Kafka opens it shortly before it is ready.
                with admin_client(self.bootstrap, timeout_s=0) as admin:
                    if admin.describe_cluster()["brokers"]:
                        return
            except KafkaUnreachable:
                pass
            time.sleep(0.05)
        raise self._died("ended while starting" if not self.alive else "did not answer in time")

    def _died(self, what: str) -> BrokerDied:
        return BrokerDied(
            f"Kafka {what} ({self._bootstrap}, data in {self._dir.data}). Its last lines, of {self._dir.log}"
            f" and {self._dir.console.name}:\n{self._dir.last_lines()}"
        )
