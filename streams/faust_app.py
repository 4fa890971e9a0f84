"""A Faust app whose tasks keep state and offsets: what a worker and a recommender have in common."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import faust
from faust.tables.manager import TableManager

from streams.broker.topics_admin import require_topics
from streams.connections.bootstrap import USUAL_SERVERS, Bootstrap
from streams.doors.policy import Doors
from streams.kafka.refusals import end, lost_right
from streams.kafka.stopping import end_without_kafka
from streams.kafka.transport import Schema, Transport
from streams.process.heap import collect_rarely, use_one_heap
from streams.process.logs import json_config, write_json
from streams.process.threads import take_turns
from streams.rights import rights_of, topics_in
from streams.settings import Settings
from streams.topics import TopicSpec
from streams.worker import Tasks

log = logging.getLogger("alsobought")
COMPUTING_THREADS = 3
KAFKA_AWAY_LOOKS = 30  # a process that stops waits for Kafka so many half seconds after its session


class AnswersQueries(Protocol):
    """A service that answers questions about the tasks."""

    async def start(self) -> str:
        """Start answering; return the base address."""

    async def stop(self) -> None:
        """Stop answering."""


class NoTables(TableManager):  # type: ignore[misc]
    """A table manager without tables, so that a start does not wait a second for agents to declare some."""

    async def on_start(self) -> None:
        """Continue with the assigned partitions."""
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):  # type: ignore[misc]
    """A Faust app whose state and offsets are kept by `tasks`."""

    tasks: Tasks

    async def on_start(self) -> None:
        """Refuse to start without the topics, because a broker might create missing ones with its own
        defaults.
        """
        tasks = self.tasks
        topics = topics_in(rights_of(tasks.role, tasks.settings), tasks.settings)
        await asyncio.to_thread(require_topics, tasks.bootstrap, topics)
        await asyncio.to_thread(self.tasks.look_at_stores)
        await super().on_start()

    async def stop(self) -> None:
        """Stop, even if Kafka is away."""
        end_without_kafka(lambda: self.tasks.lease.held, KAFKA_AWAY_LOOKS)
        await super().stop()

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)


def new_app(settings: Settings, role: str, group: str, tasks_of: Callable[[Any, Settings], Tasks]) -> App:
    """Return an app of a consumer group with its tasks, and set up what a process has only once.

    Raises
    ------
    DoorError
        The queries would be open to everybody, or what the settings say of them cannot be used.
    """
    Doors.of(settings).require_token(settings.web_host, "ALSOBOUGHT_WEB_HOST")
    as_json = settings.log_format == "json"
    if as_json:
        write_json(role, settings.log_level)  # Faust sets it up again, later
    if not faulthandler.is_enabled():
        faulthandler.enable()  # kernels work on addresses: should one fail, the log says where
    take_turns()
    collect_rarely()
    use_one_heap()
    if settings.log_level != "debug":  # these libraries log every connection and every look into a topic
        for library in ("kafka", "aiokafka"):
            logging.getLogger(library).setLevel(logging.WARNING)
    app = App(
        group,
        broker=";".join(
            f"kafka://{address}" for address in Bootstrap(settings.kafka or USUAL_SERVERS).addresses
        ),
        datadir=str(settings.data_dir / "faust"),
        autodiscover=False,
        web_enabled=False,
        logging_config=json_config(role, settings.log_level) if as_json else None,
        topic_disable_leader=True,
        topic_allow_declare=False,
        TableManager=NoTables,
        stream_wait_empty=False,
        stream_buffer_maxsize=16,
        broker_session_timeout=settings.session_ms / 1000,
        broker_heartbeat_interval=1.0,
        # Faust silently stops rebalancing for ever if opening stores takes longer than this
        broker_request_timeout=86_400.0,
        consumer_max_fetch_size=1 << 20,
        producer_acks=-1,
        producer_linger_ms=0,
        producer_max_batch_size=4 << 20,
        producer_max_request_size=17 << 20,
        producer_request_timeout=60.0,
    )
    app.tasks = tasks_of(app, settings)
    return app


def add_agent(app: App, specs: Iterable[TopicSpec]) -> None:
    """Pass each fetch, of all these topics and partitions at once, to the next cycle of the tasks."""
    topic = app.topic(*sorted({spec.name for spec in specs}), schema=Schema(), acks=False)

    async def cycle(stream: Any) -> None:
        async for chunks in stream:
            try:
                app.tasks.handle(chunks)
            except Exception as error:
                if await _ends_without_right(app, error):
                    await asyncio.Event().wait()  # it is cancelled when the process stops
                log.exception("cannot go on")
                await app.crash(error)
                raise

    app.agent(topic, name="cycle")(cycle)


async def _ends_without_right(app: App, error: Exception) -> bool:
    """Return whether an error is for want of a right in Kafka; if so, say which and end the process."""
    tasks = app.tasks
    if not tasks.ending:
        rights = rights_of(tasks.role, tasks.settings)
        lost = await asyncio.to_thread(lost_right, error, tasks.bootstrap, rights)
        if lost and not tasks.ending:
            tasks.ending = True
            log.error("%s", lost)
            end()
    return tasks.ending


def serve(app: App, service: AnswersQueries) -> None:
    """Answer questions and publish progress while the app runs; save and close every store at its end."""

    @app.task  # type: ignore[untyped-decorator]
    async def serve_and_report() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(COMPUTING_THREADS, "computing"))
        app.tasks.address = await service.start()
        log.info("queries are answered at %s", app.tasks.address)
        try:
            await app.tasks.report_for_ever()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not await _ends_without_right(app, error):
                log.exception("a task failed")
                await app.crash(error)

    async def save_state(*_args: Any, **_kwargs: Any) -> None:
        await service.stop()  # before the producer goes
        await app.tasks.close()

    app.on_before_shutdown.connect(save_state, weak=False)
