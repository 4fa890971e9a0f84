"""Tests of `/api/live`: events, changes of what is watched, and listeners that are too slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from serving import live
from serving.errors import ApiError
from serving.live import Live, Watched
from serving.read_model import ReadModel
from streams.kinds import BOUGHT, WATCHED
from tests.serving import shop as made
from tests.serving.conftest import Shop

LISTENERS = 200


async def serve(model: ReadModel, ask: Callable[[Live, str], Awaitable[None]]) -> None:
    """Serve a `Live` without its clock; the test makes it tick."""
    beat = Live(model)

    async def answer(request: web.Request) -> web.StreamResponse:
        ids = [frozenset(request.query.getall(name, [])) for name in ("item", "customer")]
        return await beat.listen(request, Watched("bought", *ids), int(request.query.get("since", "0")))

    app = web.Application()
    app.add_routes([web.get("/live", answer)])
    app.on_shutdown.append(beat.close)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await ask(beat, f"http://127.0.0.1:{runner.addresses[0][1]}/live")
    finally:
        await runner.cleanup()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def next_event(answer: aiohttp.ClientResponse) -> tuple[str, Any]:
    fields: dict[str, str] = {}
    async with asyncio.timeout(60):
        while line := (await answer.content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
    content = json.loads(fields["data"])
    if "id" in fields:
        assert int(fields["id"]) == content["at_ms"]
    return fields["event"], content


def test_many_listeners_cost_one_encoding_and_get_what_they_watch() -> None:
    model = made.model_with(*made.catalogue())

    async def ask(beat: Live, url: str) -> None:
        beat.tick(1.0, 1.0)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            questions = [{"item": "tea", "customer": "ann"} if n % 2 else {} for n in range(LISTENERS)]
            answers = await asyncio.gather(*(session.get(url, params=question) for question in questions))
            await until(lambda: beat.listeners == LISTENERS)
            assert {answer.headers["Content-Type"] for answer in answers} == {"text/event-stream"}
            for event, content in await asyncio.gather(*map(next_event, answers)):
                assert (event, [pulse["at_ms"] for pulse in content]) == ("history", [1000])
            for message in (
                made.a_list(BOUGHT, "tea", 41, "milk", "jam"), made.a_list(BOUGHT, "jam", 2, "tea"),
                made.offered(BOUGHT, "ann", None), made.offered(BOUGHT, "bob", None),
            ):  # fmt: skip
                model.take(message.topic, message.key.encode(), message.value, 0)
            before = beat.encoded
            beat.tick(2.0, 2.0)
            # this is the pulse, tea and ann; neither jam nor bob is watched
            assert beat.encoded - before == 3
            for event, content in await asyncio.gather(*map(next_event, answers)):
                assert (event, content["at_ms"]) == ("pulse", 2000)
                changed = [item["item_id"] for item in content["changed"]["bought"]]
                assert changed == ["tea", "jam"]
                assert [item["item_id"] for item in content["changed"]["bought"][0]["related"]] == [
                    "milk",
                    "jam",
                ]
            for event in ("item", "customer"):
                for name, content in await asyncio.gather(*map(next_event, answers[1::2])):
                    assert (name, content["kind"]) == (event, "bought")
                    assert content[f"{event}_id"] == {"item": "tea", "customer": "ann"}[event]
            beat.tick(3.0, 3.0)
            for _, content in await asyncio.gather(*map(next_event, answers)):
                assert content["changed"] == {"bought": [], "watched": []}
            for answer in answers:
                answer.close()

        def all_gone() -> bool:
            beat.tick(4.0, 4.0)  # a closed connection is noticed when something is sent
            return beat.listeners == 0

        await until(all_gone)

    asyncio.run(serve(model, ask))


def test_a_slow_listener_is_dropped_with_a_word_and_nobody_else_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = made.model_with()
    filler = "x" * (200 << 10)

    async def ask(beat: Live, url: str) -> None:
        monkeypatch.setattr(
            beat, "_encode", lambda event, *_: live.message(event, json.dumps([filler]).encode())
        )
        async with aiohttp.ClientSession() as session:
            slow, quick = await session.get(url), await session.get(url)
            await until(lambda: beat.listeners == 2)
            await next_event(quick)
            sent = 0
            while beat.listeners == 2:
                sent += 1
                beat.tick(float(sent), float(sent))
                assert (await next_event(quick))[0] == "pulse"
                assert sent < 2_000
            assert sent > live.WAITING
            everything = (await slow.content.read()).decode()
            assert everything.endswith(
                "event: dropped\ndata: " + json.dumps(live.TOO_SLOW, separators=(",", ":")) + "\n\n"
            )
            assert everything.count("event: pulse") < sent
            beat.tick(0.0, 1e3)
            assert (await next_event(quick))[0] == "pulse"
            quick.close()

    asyncio.run(serve(model, ask))


def test_the_last_event_when_the_server_stops_and_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made.model_with()

    async def main() -> None:
        lasting: list[aiohttp.ClientResponse] = []
        async with aiohttp.ClientSession() as session:

            async def ask(beat: Live, url: str) -> None:
                lasting.append(await session.get(url))
                await next_event(lasting[0])
                monkeypatch.setattr(live, "LISTENERS", 1)
                with pytest.raises(ApiError, match="1 listen already"):
                    await beat.listen(None, Watched("bought", frozenset(), frozenset()))  # type: ignore[arg-type]
                monkeypatch.setattr(live, "LISTENERS", 9)
                many = Watched("bought", frozenset(map(str, range(64))), frozenset("a"))
                with pytest.raises(ApiError, match="65 ids are to be watched; at most 64"):
                    await beat.listen(None, many)  # type: ignore[arg-type]

            await serve(model, ask)
            assert await next_event(lasting[0]) == ("dropped", live.STOPPING)
            assert await lasting[0].content.read() == b""

    asyncio.run(main())


def test_a_returning_listener_gets_newer_pulses_and_the_story_so_far() -> None:
    async def ask(beat: Live, url: str) -> None:
        for at_s in (1.0, 2.0, 3.0):
            beat.tick(at_s, at_s)
        beat.add_step("The first", "shop")
        async with aiohttp.ClientSession() as session:
            answer = await session.get(url, params={"since": "1000"})
            event, content = await next_event(answer)
            assert (event, [pulse["at_ms"] for pulse in content]) == ("history", [2000, 3000])
            assert await next_event(answer) == ("story", [{"title": "The first", "link": "shop"}])
            await until(lambda: beat.listeners == 1)
            beat.add_step("The second", "quality")
            event, content = await next_event(answer)
            assert (event, [step["title"] for step in content]) == ("story", ["The first", "The second"])
            answer.close()

    asyncio.run(serve(made.model_with(), ask))


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async def ask(beat: Live, url: str) -> None:
        host, port = url.removeprefix("http://").removesuffix("/live").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /live HTTP/1.0\r\n\r\n")
        await until(lambda: beat.listeners == 1)
        beat.tick(1.0, 1.0)
        await reader.readuntil(b"event: pulse\n")
        await beat.close(web.Application())
        async with asyncio.timeout(60):
            rest = (await reader.read()).decode()
        writer.close()
        assert [line for line in rest.splitlines() if line] == [
            line for line in rest.splitlines() if line.startswith(("id: ", "data: ", "event: dropped"))
        ]
        assert json.loads(rest.rstrip().rpartition("data: ")[2]) == live.STOPPING

    asyncio.run(serve(made.model_with(), ask))


def test_it_is_served(shop: Shop) -> None:
    async def main() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{shop.address}/api/live", params={"kind": "watched", "item": "tea"}) as answer,
        ):
            assert (await next_event(answer))[0] == "history"
            event, content = await next_event(answer)
            assert (event, content["ready"]) == ("pulse", True)
            assert [of["kind"] for of in content["kinds"]] == ["bought", "watched", "watched-bought"]
            since = content["at_ms"]
            shop.publish([made.a_list(WATCHED, "tea", 8, "bread", "milk")])
            while (last := await next_event(answer))[0] != "item":
                pass
            assert last[1] == {"kind": "watched", "item_id": "tea"}
            for query, headers in ((f"?since={since}", {}), ("?since=1", {"Last-Event-ID": str(since)})):
                async with session.get(f"{shop.address}/api/live{query}", headers=headers) as again:
                    event, content = await next_event(again)
                    assert event == "history"
                    assert content
                    assert min(pulse["at_ms"] for pulse in content) > since

    asyncio.run(main())
    shop.publish([made.a_list(WATCHED, "tea", 7, "bread")])
    assert shop.ask_any("/api/live", kind="liked")[0] == 400
    assert shop.ask_any("/api/live", watch="tea")[0] == 400
    assert shop.ask_any("/api/live", since="yesterday")[0] == 400


def test_a_question_for_the_headers_alone_ends(shop: Shop) -> None:
    async def main() -> tuple[int, str]:
        async with (
            asyncio.timeout(60),
            aiohttp.ClientSession() as session,
            session.head(f"{shop.address}/api/live") as answer,
        ):
            return answer.status, answer.content_type

    assert asyncio.run(main()) == (200, "text/event-stream")
