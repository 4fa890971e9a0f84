"""Stopping clients."""

from __future__ import annotations

import asyncio

import pytest

from streams import stopping


class _Client:
    def __init__(self, stop_s: float) -> None:
        self._stop_s = stop_s
        self.stopped = False

    async def stop(self) -> None:
        await asyncio.sleep(self._stop_s)
        self.stopped = True
        raise asyncio.CancelledError


def test_a_client_that_raises_a_cancellation_of_its_own_cancels_nobody() -> None:
    async def main() -> bool:
        client = _Client(0.0)
        await stopping.stop(client)
        return client.stopped

    assert asyncio.run(main())


def test_a_client_that_does_not_stop_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "STOP_S", 0.01)

    async def main() -> bool:
        client = _Client(60.0)
        await stopping.stop(client)
        return client.stopped

    assert not asyncio.run(main())
