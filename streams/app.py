"""The topology, on one screen.

    purchases    ──► count_customers  ──► pair-deltas ──► count_items ──► related-items
    items        ──► read_catalogue   ──────┘
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

from streams.queries import Queries
from streams.settings import Settings
from streams.topics import ITEMS, PAIR_DELTAS, PURCHASES, TopicSpec
from streams.transport import Schema, Transport
from streams.worker import Tasks

log = logging.getLogger("alsobought")
M_ARENA_MAX = -8  # of mallopt(3)
COMPUTING_THREADS = 3

settings = Settings()
# Records by the million are short-lived and hold no cycles: looking for cycles cost 5 % of the time.
gc.set_threshold(100_000, 20, 50)
if sys.platform == "linux":  # big short-lived buffers from several threads: each arena of glibc keeps its own
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class App(faust.App):  # type: ignore[misc]
    """A Faust app whose state and offsets are kept by `tasks`."""

    tasks: Tasks

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)


app = App(
    settings.group,
    broker=";".join(f"kafka://{address}" for address in (settings.kafka or "127.0.0.1:9092").split(",")),
    datadir=str(settings.data_dir / "faust"),
    autodiscover=False,
    web_enabled=False,
    topic_disable_leader=True,
    topic_allow_declare=False,
    stream_wait_empty=False,
    stream_buffer_maxsize=16,
    broker_max_poll_records=8_000,
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


def _topic(spec: TopicSpec) -> Any:
    return app.topic(spec.name, schema=Schema(), acks=False)


async def _handle_all(stream: Any) -> None:
    async for chunk in stream:
        try:
            await app.tasks.handle(chunk)
        except Exception as error:
            log.exception("%s-%d: cannot go on", chunk.tp.topic, chunk.tp.partition)
            await app.crash(error)
            raise


@app.agent(_topic(PURCHASES))  # type: ignore[untyped-decorator]
async def count_customers(stream: Any) -> None:
    """Purchases into histories; what changes goes to the item partitions."""
    await _handle_all(stream)


@app.agent(_topic(ITEMS))  # type: ignore[untyped-decorator]
async def read_catalogue(stream: Any) -> None:
    """Availability to the item partitions."""
    await _handle_all(stream)


@app.agent(_topic(PAIR_DELTAS))  # type: ignore[untyped-decorator]
async def count_items(stream: Any) -> None:
    """Deltas into counts; lists that change are published."""
    await _handle_all(stream)


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
