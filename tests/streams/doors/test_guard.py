"""What is let through to a process, and what is not."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from streams.doors.errors import OpenDoor, TokensUnusable
from streams.doors.guard import Guard
from streams.doors.policy import Doors
from streams.doors.rights import QUERIES, Right
from streams.doors.tokens import known, make_token
from streams.queries import Queries, Service
from streams.recommending.queries import RecommenderQueries
from streams.settings import Settings
from tests.streams.doors.asking import Ask, NoTasks, asking

TOKENS = {right.word: make_token() for right in Right if right is not Right.NONE}
KNOWN = ",".join(known(f"of-{right.word}", right, TOKENS[right.word]).line for right in list(Right)[1:])
PATHS = [("GET", "/related/x"), ("GET", "/items/x"), ("GET", "/customers/x"), ("POST", "/checkpoints")]


def test_each_endpoint_wants_its_right() -> None:
    async def questions(ask: Ask) -> None:
        for path in ("/healthz", "/readyz"):  # an orchestrator has no token
            assert (await ask("GET", path))[0] == (200 if path == "/healthz" else 503)
        assert (await ask("GET", "/metrics"))[0] == 401
        for method, path in PATHS:
            right = "admin" if path == "/checkpoints" else "read"
            status, text, headers = await ask(method, path)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert text.startswith("a token is wanted (header Authorization): send `Authorization: Bearer")
            assert f"with a token of the right {right}," in text
            for wrong in (make_token(), "", "x", "é"):
                assert (await ask(method, path, wrong))[0] == 401
            assert (await ask(method, path, Authorization=TOKENS["admin"]))[0] == 401
            assert (await ask(method, path, Authorization=f"Basic {TOKENS['admin']}"))[0] == 401
            assert (await ask(method, path, TOKENS["admin"]))[0] in (400, 500)  # let through to no tasks
            status, text, _ = await ask(method, path, TOKENS["read"])
            assert status == (403 if right == "admin" else 400)
            if right == "admin":
                assert text.startswith("the token of-read has the right read, and this wants admin")
                assert (await ask(method, path, TOKENS["write"]))[0] == 403
        assert (await ask("GET", "/nothing"))[0] == 404
        assert (await ask("PUT", "/checkpoints"))[0] == 405

    asking(questions, tokens=KNOWN)


def test_without_tokens_this_machine_may_ask() -> None:
    async def questions(ask: Ask) -> None:
        assert [(await ask(method, path))[0] for method, path in PATHS] == [400, 400, 400, 500]
        assert (await ask("GET", "/customers/x", TOKENS["read"]))[0] == 400

    asking(questions)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_the_query_port_is_not_opened_to_others_without_a_token(host: str) -> None:
    async def nothing(_ask: Ask) -> None:
        pytest.fail("it is open")

    with pytest.raises(OpenDoor, match=r"ALSOBOUGHT_WEB_HOST is .*, which others reach, and no token is set"):
        asking(nothing, host)
    with pytest.raises(TokensUnusable, match="cannot be read"):
        asking(nothing, host, tokens_file=Path("/nowhere/tokens"))


def test_a_process_says_where_others_reach_it() -> None:
    async def main(host: str, advertised: str | None) -> str:
        tasks = NoTasks(Settings.model_validate({"tokens": KNOWN}))
        service = Queries(tasks, host, 0, advertised)  # type: ignore[arg-type]
        try:
            return (await service.start()).rpartition(":")[0]
        finally:
            await service.stop()

    assert asyncio.run(main("127.0.0.1", None)) == "http://127.0.0.1"
    assert asyncio.run(main("0.0.0.0", "worker-1")) == "http://worker-1"
    assert asyncio.run(main("0.0.0.0", None)) == f"http://{socket.gethostname()}"
    assert asyncio.run(main("127.0.0.1", "fd00::1")) == "http://[fd00::1]"


def test_a_name_of_somebody_else_is_refused() -> None:
    async def questions(ask: Ask) -> None:
        for host in (
            "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
            "127.0.0.1@x", "worker-1.evil.example", "", "a b", "[::1", "[x]", "x:y", "127.1",
            "0x7f000001", "worker-1:8100/..",
        ):  # fmt: skip
            status, text, _ = await ask("GET", "/customers/x", Host=host)
            assert status == 421, host
            assert "is no name of this server" in text
        for host in (
            "localhost", "LOCALHOST:1", "127.0.0.1:7", "[::1]:80", "10.0.0.1", "worker-1:8100", "Worker-1.",
            "a.shop.internal", "shop.example:443",
        ):  # fmt: skip
            assert (await ask("GET", "/customers/x", Host=host))[0] == 400, host

    asking(questions, advertised="worker-1", allowed_hosts="shop.example, .shop.internal")


def test_a_page_of_another_site_may_not_ask() -> None:
    async def questions(ask: Ask) -> None:
        own = "127.0.0.1:80"
        for origin in (
            "http://evil.example",
            "null",
            "http://127.0.0.1:81",
            f"http://{own}.evil.example",
            "",
        ):
            status, text, _ = await ask("POST", "/checkpoints", Host=own, Origin=origin)
            assert (status, text.partition(" (")[0]) == (
                403,
                "a page of another site may not ask this server",
            )
        assert (await ask("POST", "/checkpoints", Host=own, Origin=f"https://{own}"))[0] == 500  # let through
        for site in ("cross-site", "same-site"):
            assert (await ask("GET", "/items/x", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors"))[0] == 403
            assert (await ask("GET", "/items/x", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate"))[0] == 400
        for site in ("same-origin", "none"):
            assert (await ask("GET", "/items/x", Sec_Fetch_Site=site, Sec_Fetch_Mode="cors"))[0] == 400
        status, _, headers = await ask(
            "OPTIONS", "/items/x", Origin="http://evil.example", Access_Control_Request_Method="GET"
        )
        assert status in (403, 405)
        assert not [name for name in headers if name.lower().startswith("access-control")]

    asking(questions)


def test_a_client_that_asks_too_often_is_told_when_to_come_again() -> None:
    async def questions(ask: Ask) -> None:
        answers = [await ask("GET", "/items/x", TOKENS["read"]) for _ in range(60)]
        assert {status for status, _, _ in answers} == {400, 429}
        status, text, headers = answers[-1]
        assert (status, headers["Retry-After"]) == (429, "1")
        assert "this client asks too often (token of-read): ask again after" in text
        assert (await ask("GET", "/items/x", TOKENS["write"]))[0] == 400  # is another client
        guesses = [(await ask("GET", "/items/x", make_token()))[0] for _ in range(5)]
        assert guesses[0] == 401
        assert guesses[-1] == 429
        assert (await ask("GET", "/items/x", TOKENS["write"]))[0] == 400  # also where somebody guesses

    asking(questions, tokens=KNOWN, requests_per_s=5)


def test_what_an_administrator_does_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def questions(ask: Ask) -> None:
        await ask("GET", "/items/x", TOKENS["admin"])
        await ask("POST", "/checkpoints", TOKENS["admin"])
        await ask("POST", "/checkpoints", TOKENS["read"])
        await ask("GET", "/items/x%0aforged", make_token())

    with caplog.at_level(logging.INFO, "alsobought.doors"):
        asking(questions, tokens=KNOWN)
    said = [record.getMessage() for record in caplog.records if record.name == "alsobought.doors"]
    assert said == [
        "the token of-admin, from '127.0.0.1': POST '/checkpoints': 500",
        "'of-read' asked for '/checkpoints', for which its token is not enough; 0 others were refused unsaid",
    ]
    assert all(token not in caplog.text for token in TOKENS.values())


def test_no_trace_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def questions(ask: Ask) -> None:
        status, text, headers = await ask("POST", "/checkpoints")
        assert (status, text) == (500, "an error of ours: see the log of this process")
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        assert headers["Server"] == "alsobought"

    asking(questions)
    assert "a secret" in caplog.text


def test_what_is_too_large_is_not_read() -> None:
    async def main() -> None:
        service = RecommenderQueries(NoTasks(Settings.model_validate({})), "127.0.0.1", 0, None)  # type: ignore[arg-type]
        address = await service.start()

        try:
            async with aiohttp.ClientSession() as session:
                for body, status in ((b" " * (2 << 20), 413), (b"x", 400), (b"[" * 100_000, 400)):
                    async with session.post(f"{address}/recommendations", data=io.BytesIO(body)) as answer:
                        assert answer.status == status
                        assert "Traceback" not in await answer.text()
        finally:
            await service.stop()

    asyncio.run(main())


def test_what_is_no_request_is_answered_without_a_trace() -> None:
    async def main() -> None:
        service = Queries(NoTasks(Settings.model_validate({})), "127.0.0.1", 0, None)  # type: ignore[arg-type]
        port = int((await service.start()).rpartition(":")[2])
        try:
            for raw in (
                b"rubbish\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /items/x HTTP/1.1\r\n\r\n",
                b"GET /items/" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                b"GET /items/x HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
                b"GET /items/x HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
                b"POST /checkpoints HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n",
            ):  # fmt: skip
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(raw)
                answer = await reader.read(1 << 16)
                writer.close()
                assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), raw[:80]
                assert b"kind" not in answer  # of which the answer to a question would be
                assert b"Traceback" not in answer
                assert b".py" not in answer
        finally:
            await service.stop()

    asyncio.run(main())


def test_every_route_of_a_process_is_in_the_table_and_the_table_has_no_other() -> None:
    tasks = NoTasks(Settings.model_validate({}))
    some: list[Service] = [cls(tasks, "", 0, None) for cls in (Queries, RecommenderQueries)]  # type: ignore[arg-type]
    routes = {(route.method, route.path.replace(":[^/]+", "")) for one in some for route in one.routes()}
    assert routes | {("GET", "/metrics")} == {(door.method, door.path) for door in QUERIES}


def test_a_route_without_a_right_is_refused_but_for_health() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="well")

    guard: Guard = Doors.of(Settings.model_validate({"tokens": KNOWN})).guard("127.0.0.1")
    app = web.Application(middlewares=[guard.check])
    app.add_routes([web.get("/healthz", answer)])
    guard.protect(app, QUERIES)

    async def main() -> None:
        async with TestClient(TestServer(app)) as client, client.get("/healthz") as found:
            assert (found.status, await found.text()) == (200, "well")

    asyncio.run(main())
    other = web.Application()
    other.add_routes([web.post("/rebuild", answer)])
    with pytest.raises(ValueError, match=r"POST /rebuild wants no right: add it to streams/doors/rights\.py"):
        guard.protect(other, QUERIES)
