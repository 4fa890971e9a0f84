"""The local stack: Kafka, the topics, workers and recommenders, as child processes of this one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from alsobought.local.worker_process import WorkerProcess
from alsobought.options import CommandError
from alsobought.place import Place
from serving.server import Server, ServerThread
from streams.broker.embedded import EmbeddedKafka
from streams.broker.errors import BrokerError
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.doors.policy import Doors
from streams.kafka.follower import Follower
from streams.kinds import counted_of, kinds_of, listed_of, topics_of
from streams.messages.schema import REPORTED, progress_of
from streams.process.heap import use_one_heap
from streams.process.threads import take_turns
from streams.settings import Settings
from streams.topics import PROGRESS

LOOK_S = 0.2
READY_S = 120.0
HERE = "127.0.0.1"

Say = Callable[[str], None]


class Stack:
    """Kafka, workers and recommenders. They run until `stop`, or as long as this process; their data remain.

    Parameters
    ----------
    settings
        The settings; `data_dir` has everything. Its workers share the state in it: the owner of a partition
        opens its store.
    port
        The port of Kafka; 0: that of the last time if it is free, otherwise any.
    workers, recommenders
        How many of each to run.
    say
        Called with messages for the user, such as that a worker was restarted.
    archives
        Whether stopping may take longer once, so that Kafka starts faster from then on (`EmbeddedKafka`).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        port: int,
        workers: int,
        say: Say,
        recommenders: int = 1,
        archives: bool = False,
    ) -> None:
        self._settings = settings
        self._say = say
        self._archives = archives
        self._place = Place(settings.data_dir)
        self._counts = {"worker": workers, "recommender": recommenders}
        self._workers: list[WorkerProcess] = []
        self._page: ServerThread | None = None
        self._stopping = threading.Event()
        self._broken = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._broker = self._new_broker(port)

    @property
    def bootstrap(self) -> Bootstrap:
        """The Kafka of this stack, on loopback and without security."""
        return self._broker.bootstrap

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._say("stopping ...")
        self.stop()

    def start(self) -> None:
        """Start everything; return when every partition has an owner.

        Raises
        ------
        BrokerError
            Kafka or the topics failed; nothing is left running.
        CommandError
            The workers do not start.
        DoorError
            Others would reach the queries of the workers, and no token is set.
        """
        if owner := self._place.read():
            raise CommandError(
                f"a local stack (pid {owner['pid']}, Kafka at {owner['bootstrap']}) already runs in"
                f" {self._place.data_dir}: use it, stop it, or give this one another --data-dir."
            )
        Doors.of(self._settings).require_token(self._settings.web_host, "ALSOBOUGHT_WEB_HOST")
        try:
            self._say("starting Kafka ...")
            self._broker.start()
            settings = self._settings
            create_topics(self.bootstrap, topics_of(settings), settings.partitions, settings.replication)
            with Follower(self.bootstrap, PROGRESS) as progress:
                self._say("starting the workers and recommenders ...")
                self._start_workers()
                self._await_workers(progress)
        except BaseException:
            self.stop()
            raise

    def serve_page(self, port: int, *, buying: bool = False) -> str:
        """Serve the page and the API until `stop`, in this process; return their address.

        Raises
        ------
        CannotServe
            The port is taken.
        """
        doors = Doors.of(self._settings)
        server = Server(self.bootstrap, listed_of(self._settings), HERE, port, buying=buying, doors=doors)
        take_turns()
        use_one_heap()
        page = ServerThread(server)
        address = page.start()
        self._page = page
        return address

    def add_step(self, title: str, link: str) -> None:
        """Add a step to the story that the page shows; `link` is the address of a view, after the #."""
        if self._page is not None:
            self._page.add_step(title, link)

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run."""
        return self._pids("worker")

    @property
    def recommender_pids(self) -> list[int]:
        """Process ids of the recommenders that run."""
        return self._pids("recommender")

    def _pids(self, role: str) -> list[int]:
        return [one.pid for one in self._workers if one.role == role and one.pid is not None]

    def _start_workers(self) -> None:
        home = self._place.data_dir
        for role, count in self._counts.items():
            for number in range(1, count + 1):
                worker = WorkerProcess(role, number, self._settings, self.bootstrap, home, self._place.logs)
                self._workers.append(worker)
                worker.start()
        self._remember()
        self._supervisor.start()

    def _await_workers(self, progress: Follower) -> None:
        missing = {
            f"{spec.name}-{partition}"
            for spec in counted_of(self._settings)
            for partition in range(self._settings.partitions)
        }
        missing |= {
            f"{REPORTED}{kind.events.name}-{partition}"
            for kind in kinds_of(self._settings)
            for partition in range(self._settings.partitions)
        }
        deadline = time.monotonic() + READY_S
        while missing:
            missing -= {of.task for row in progress.poll() if (of := progress_of(row.value))}
            self.check()
            if time.monotonic() > deadline:
                raise CommandError(
                    f"nobody has taken over {', '.join(sorted(missing))} in {READY_S:g} s:"
                    f" see {self._place.logs}."
                )

    def check(self) -> None:
        """Raise CommandError if Kafka has ended and does not start again."""
        if self._broken.is_set():
            raise CommandError(
                f"Kafka has ended by itself and cannot be started again; its log is {self._broker.log}."
            )

    def wait(self) -> None:
        """Return only with the error of `check`, or when a signal interrupts it."""
        while True:
            self._broken.wait(LOOK_S)
            self.check()

    def stop(self) -> None:
        """Stop the workers and recommenders, wait for their states to be saved, then stop Kafka."""
        self._stopping.set()
        if self._page is not None:
            self._page.stop()
        if self._supervisor.is_alive():
            self._supervisor.join()
        for worker in self._workers:
            worker.ask_to_stop()
        for worker in self._workers:
            worker.wait()
        self._broker.stop()
        self._place.clear()

    def _supervise(self) -> None:
        while not self._stopping.wait(LOOK_S):
            if not self._broker.alive and not self._restart_broker():
                self._broken.set()
                return
            for worker in self._workers:
                if news := worker.restart_if_dead():
                    self._remember()
                    self._say(news)

    def _restart_broker(self) -> bool:
        """Start Kafka again at the same address: clients and workers wait for it there."""
        self._say(f"Kafka has ended; starting it again; its log: {self._broker.log}")
        port = int(self.bootstrap.servers.rpartition(":")[2])
        self._broker.stop()
        self._broker = self._new_broker(port)
        try:
            self._broker.start()
        except BrokerError as error:
            self._say(str(error))
            return False
        self._remember()
        self._say(f"Kafka was restarted (pid {self._broker.pid})")
        return True

    def _new_broker(self, port: int) -> EmbeddedKafka:
        settings = self._settings
        return EmbeddedKafka(
            settings.data_dir, port=port, cache_dir=settings.cache_dir, kafka_home=settings.kafka_home,
            archives=self._archives,
        )  # fmt: skip

    def _remember(self) -> None:
        self._place.write(self.bootstrap.servers, self.worker_pids, self.recommender_pids)
