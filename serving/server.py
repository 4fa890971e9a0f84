"""The server: a read model that is kept up to date, its API and the page.

Also in a thread of a local stack.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable

from aiohttp import web

from serving.api import Api
from serving.buying import Buyer
from serving.follower import ModelFollower
from serving.live import Live
from serving.owners import ANSWER_S, Owners
from serving.read_model import ReadModel
from streams.connections.bootstrap import Bootstrap
from streams.doors.names import in_url
from streams.doors.policy import Doors, own_host
from streams.kafka.follower import partitions_of
from streams.kinds import Kind
from streams.topics import ITEMS

log = logging.getLogger("alsobought")

STOP_S = 2.0
NICE = 5


class CannotServe(Exception):
    """The server cannot listen on the address: choose another port (0: any free one), or end the other
    program.
    """


class Server:
    """Serves what the topics of a Kafka hold.

    Parameters
    ----------
    kinds
        The kinds of events; their topics must exist.
    port
        The port; 0: any free one.
    buying
        Whether items can be bought on the page, as in a demo.
    doors
        Who may ask, and what is asked of workers and recommenders; by default everybody on this machine.

    Raises
    ------
    KafkaUnreachable, TopicAbsent
    OpenDoor
        Others reach the host, and no token is set.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        kinds: Iterable[Kind],
        host: str,
        port: int,
        *,
        buying: bool = False,
        doors: Doors | None = None,
    ) -> None:
        self._bootstrap, self._host, self._port = bootstrap, host, port
        self._buying = buying
        self._doors = doors or Doors()
        self._doors.require_token(host, "--host")
        self._partitions = partitions_of(bootstrap, ITEMS)
        self.model = ReadModel(kinds)
        self.live = Live(self.model)

    async def run(self, started: Callable[[str], None]) -> None:
        """Serve until cancelled; `started` is called with the address.

        Raises
        ------
        CannotServe
        """
        owners = Owners(self.model, self._partitions, self._doors.caller(ANSWER_S))
        buyer = Buyer(self._bootstrap) if self._buying else None
        guard = self._doors.guard(self._host)
        application = Api(self.model, owners, self.live, guard, buyer).application()
        application.on_shutdown.append(self.live.close)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_S)
        await runner.setup()
        pulse = asyncio.create_task(self.live.run())
        try:
            try:
                await web.TCPSite(runner, self._host, self._port).start()
            except OSError as error:
                raise CannotServe(
                    f"cannot listen on {self._host}:{self._port}: {error.strerror or error}. Choose another"
                    " port (0: any free one), or end the program that has it."
                ) from error
            host = in_url(own_host(self._host, None))
            started(f"http://{host}:{runner.addresses[0][1]}")
            await ModelFollower(self._bootstrap, self.model, self._partitions).run()
        finally:
            pulse.cancel()
            await runner.cleanup()
            await owners.close()
            if buyer is not None:
                await buyer.close()


class ServerThread:
    """A server in a thread of this process; `start` returns its address."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._address = ""
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> str:
        """Start it; return its address, and raise as `Server.run` does."""
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self._address

    def add_step(self, title: str, link: str) -> None:
        """Add a step to the story of a demo, which the page shows; from any thread, while it runs."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._server.live.add_step, title, link)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._thread.is_alive() and self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()

    def _run(self) -> None:
        if sys.platform == "linux":  # where a niceness is a thread's: workers, which write it, go first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                asyncio.run(self._serve())
        except Exception as error:
            self._error = error
            if self._started.is_set():
                log.exception("the page and the API have ended")
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._server.run(self._note))
        await self._task

    def _note(self, address: str) -> None:
        self._address = address
        self._started.set()
