"""Ask a worker's query port, with no task open behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from streams.queries import Queries
from streams.settings import Settings


class NoTasks:
    """No tasks are open, and those that are asked for fail with a secret."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.listed: Any = ()

    def waits_for(self) -> list[str]:
        return ["a task"]

    async def checkpoint_now(self) -> list[Any]:
        raise RuntimeError("a secret")


Ask = Callable[..., Awaitable[tuple[int, str, dict[str, str]]]]


def asking(
    questions: Callable[[Ask], Awaitable[None]],
    host: str = "127.0.0.1",
    advertised: str | None = None,
    **settings: Any,
) -> None:
    """Serve a worker's queries, and ask questions by a client of them."""

    async def main() -> None:
        service = Queries(NoTasks(Settings.model_validate(settings)), host, 0, advertised)  # type: ignore[arg-type]
        address = await service.start()
        port = address.rpartition(":")[2]

        async with aiohttp.ClientSession() as session:

            async def ask(
                method: str, path: str, token: str | None = None, **headers: str
            ) -> tuple[int, str, dict[str, str]]:
                if token is not None:
                    headers["Authorization"] = f"Bearer {token}"
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                async with session.request(method, f"http://127.0.0.1:{port}{path}", headers=named) as answer:
                    return answer.status, await answer.text(), dict(answer.headers)

            try:
                await questions(ask)
            finally:
                await service.stop()

    asyncio.run(main())
