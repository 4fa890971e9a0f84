"""The topology, on one screen.

    purchases  ──► customers  ──► pair-deltas ──► items ──► related-items
    items      ──► catalogue  ──────┤
    watches    ──► customers  ──► pair-deltas-watched ──► items ──► related-items-watched
    ...                               and so on for every type of events in the settings
    first-events ──► crossing ──► pair-deltas-watched-bought ──► items ──► related-items-watched-bought
                                      of what the customers' machines of purchases and watches tell there
    dead-letters and progress are written by all of them

Run it with `alsobought worker`, or with `faust -A streams.app worker`.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faust

from streams.broker.topics_admin import require_topics
from streams.kinds import topics_of
from streams.queries import Queries
from streams.settings import Settings
from streams.topics import ITEMS
from streams.transport import Schema, Transport
from streams.worker import Tasks

log = logging.getLogger("alsobought")
M_ARENA_MAX = -8  # of mallopt(3)
COMPUTING_THREADS = 3

settings = Settings()
bootstrap = settings.kafka or "127.0.0.1:9092"
# The thread of the machines, that of the consumer and the loop hand work to one another many times a second:
# who waits for Python's lock gets it after this long at most (5 ms by default).
sys.setswitchinterval(0.0005)
# Records by the million are short-lived and hold no cycles: looking for cycles cost 5 % of the time.
gc.set_threshold(100_000, 20, 50)
if sys.platform == "linux":  # big short-lived buffers from several threads: each arena of glibc keeps its own
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


if settings.log_level != "debug":  # they tell of every connection and every look into a topic
    for library in ("kafka", "aiokafka"):
        logging.getLogger(library).setLevel(logging.WARNING)


class App(faust.App):  # type: ignore[misc]
    """A Faust app whose state and offsets are kept by `tasks`."""

    tasks: Tasks

    async def on_start(self) -> None:
        """Refuse to start without the topics: a broker might make those that are asked for, as it likes."""
        await asyncio.to_thread(require_topics, bootstrap, topics_of(settings))
        await asyncio.to_thread(self.tasks.look_at_stores)
        await super().on_start()

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)


app = App(
    settings.group,
    broker=";".join(f"kafka://{address}" for address in bootstrap.split(",")),
    datadir=str(settings.data_dir / "faust"),
    autodiscover=False,
    web_enabled=False,
    topic_disable_leader=True,
    topic_allow_declare=False,
    stream_wait_empty=False,
    stream_buffer_maxsize=16,
    broker_session_timeout=settings.session_ms / 1000,
    broker_heartbeat_interval=1.0,
    # Faust gives up rebalancing for ever, without a word, when opening stores takes longer than this
    broker_request_timeout=86_400.0,
    consumer_max_fetch_size=1 << 20,
    producer_acks=-1,
    producer_linger_ms=0,
    producer_max_batch_size=4 << 20,
    producer_max_request_size=17 << 20,
    producer_request_timeout=60.0,
)
app.tasks = Tasks(app, settings)
queries = Queries(app.tasks, settings.web_host, settings.web_port, settings.advertise_host)


kinds = app.tasks.listed
topics = sorted({ITEMS.name, *(spec.name for kind in kinds for spec in (kind.events, kind.deltas))})


@app.agent(app.topic(*topics, schema=Schema(), acks=False), name="cycle")  # type: ignore[untyped-decorator]
async def cycle(stream: Any) -> None:
    """Hand each fetch, of all topics and partitions at once, to the next cycle of the machines."""
    async for chunks in stream:
        try:
            app.tasks.handle(chunks)
        except Exception as error:
            log.exception("cannot go on")
            await app.crash(error)
            raise


@app.task  # type: ignore[untyped-decorator]
async def serve_and_report() -> None:
    """Answer queries, and publish progress."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(COMPUTING_THREADS, "computing"))
    app.tasks.address = await queries.start()
    log.info("queries are answered at %s", app.tasks.address)
    try:
        await app.tasks.report_for_ever()
    except asyncio.CancelledError:
        raise
    except Exception as error:
        log.exception("a task failed")
        await app.crash(error)


@app.on_before_shutdown.connect  # type: ignore[untyped-decorator]
async def save_state(*_args: Any, **_kwargs: Any) -> None:
    """Save and close every store before the producer goes."""
    await queries.stop()
    await app.tasks.close()
