"""Tests of starting and stopping clients."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import warnings

import pytest

from streams.broker.embedded import EmbeddedKafka
from streams.kafka import stopping
from streams.kafka.readers import new_reader


class _Client:
    def __init__(self, stop_s: float, error: BaseException) -> None:
        self._stop_s, self._error = stop_s, error
        self.stopped = False

    async def stop(self) -> None:
        await asyncio.sleep(self._stop_s)
        self.stopped = True
        raise self._error


@pytest.mark.parametrize("error", [asyncio.CancelledError(), OSError("the broker is gone")])
def test_a_client_that_fails_to_stop_or_cancels_itself_stops_nobody_else(error: BaseException) -> None:
    async def main() -> bool:
        client = _Client(0.0, error)
        await stopping.stop(client)
        return client.stopped

    assert asyncio.run(main())


def test_a_client_that_does_not_stop_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "STOP_S", 0.01)

    async def main() -> bool:
        client = _Client(60.0, OSError())
        await stopping.stop(client)
        return client.stopped

    assert not asyncio.run(main())


def test_a_process_that_kafka_does_not_answer_ends_and_one_that_it_answers_does_not() -> None:
    ended: queue.SimpleQueue[int] = queue.SimpleQueue()
    answers = iter([False, False, True, False, False, True, False, False, False])

    def held() -> bool:
        assert ended.empty()
        return next(answers)

    thread = stopping.end_without_kafka(held, 3, look_s=0.001, end=ended.put)
    thread.join(60.0)
    assert ended.get(timeout=60.0) == 1
    assert next(answers, None) is None  # it continued until three in a row were not answered


def test_a_start_that_is_cancelled_at_any_time_leaves_no_connection(broker: EmbeddedKafka) -> None:
    async def main(after_s: float) -> bool:
        """Cancel a start after that time; return whether it had already finished."""
        consumer = new_reader(broker.bootstrap)
        starting = asyncio.create_task(stopping.start(consumer))
        await asyncio.sleep(after_s)
        over = starting.done()
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await stopping.stop(consumer)
        return over

    after_s, over = 0.0, False
    gc.collect()  # what other tests left would be warned of here
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        while not over:
            over = asyncio.run(main(after_s))
            after_s += 0.0005
        gc.collect()
    assert not [str(one.message) for one in warned if issubclass(one.category, ResourceWarning)]


def test_an_error_of_a_start_is_raised_and_a_start_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stopping, "START_S", 0.01)

    class Starting:
        def __init__(self, error: BaseException | None) -> None:
            self._error, self.cancelled = error, False

        async def start(self) -> None:
            try:
                if self._error is not None:
                    raise self._error
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    async def main() -> None:
        with pytest.raises(OSError, match="away"):
            await stopping.start(Starting(OSError("away")))
        with pytest.raises(asyncio.CancelledError):
            await stopping.start(Starting(asyncio.CancelledError()))
        hanging = Starting(None)
        starting = asyncio.create_task(stopping.start(hanging))
        await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await asyncio.sleep(0)
        assert hanging.cancelled

    asyncio.run(main())
