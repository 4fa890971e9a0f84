"""Stopping clients."""

from __future__ import annotations

import asyncio
import queue

import pytest

from streams.kafka import stopping


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
    assert next(answers, None) is None  # it looked on until three in a row were not answered
