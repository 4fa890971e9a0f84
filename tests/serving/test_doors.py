"""The API with tokens: which are wanted, that they are shown to workers, and what a browser is told."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from serving.api import Api
from serving.live import Live
from serving.owners import ANSWER_S, Owners
from serving.read_model import ReadModel
from serving.server import Server, ServerThread
from streams.doors.errors import OpenDoor
from streams.doors.policy import Doors
from streams.doors.rights import ALWAYS_OPEN, API, Right
from streams.doors.tokens import known, make_token
from streams.kinds import LISTED
from streams.messages.schema import REPORTED, Progress
from streams.settings import Settings
from tests.serving.conftest import Shop, get
from tests.serving.shop import PARTITIONS, Message, message
from tests.streams.pipeline import until

READ, WRITE, OF_WORKERS = make_token(), make_token(), make_token()


class Closed(NamedTuple):
    """A page that sells and wants tokens; `ask` returns status, body and headers."""

    address: str
    shop: Shop

    def ask(self, path: str, token: str | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        asked = urllib.request.Request(self.address + path, headers=headers)
        if path == "/api/demo/purchases":
            asked.data = json.dumps({"customer_id": "visitor-1", "item_id": "tea"}).encode()
            asked.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, b"" if path == "/api/live" else answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)


@pytest.fixture(scope="module")
def closed(shop: Shop) -> Iterator[Closed]:
    some = [known("page", Right.READ, READ), known("till", Right.WRITE, WRITE)]
    doors = Doors.of(
        Settings.model_validate({"tokens": ",".join(one.line for one in some), "token": OF_WORKERS})
    )
    thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", 0, buying=True, doors=doors))
    closed = Closed(thread.start(), shop)
    try:
        until(lambda: b'"ready":true' in closed.ask("/api/status", READ)[1], "the read model")
        yield closed
    finally:
        thread.stop()


def paths() -> list[tuple[str, Right]]:
    """Every path of the table as somebody asks for it, and the right that it wants."""
    ids = {"{id}": "tea", "{file}": "app.js", "{rest}": "nothing"}
    found = []
    for door in API:
        path = door.path
        for braces, value in ids.items():
            path = path.replace(braces, value)
        bare = "/{id}" not in door.path and any(one.path == f"{door.path}/{{id}}" for one in API)
        found.append((f"{path}?id=tea" if bare else path, door.right))
    return found


@pytest.mark.parametrize(("path", "right"), paths())
def test_each_path_wants_its_right(closed: Closed, path: str, right: Right) -> None:
    without, guessed = closed.ask(path), closed.ask(path, make_token())
    if right is Right.NONE:
        assert without[0] == guessed[0] == (404 if path == "/nothing" else 200)
        return
    for status, body, headers in (without, guessed):
        assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
        answer = json.loads(body)
        assert answer.keys() == {"what", "where", "what_to_do"}
        assert f"a token of the right {right.word}" in answer["what_to_do"]
    assert closed.ask(path, WRITE)[0] in (200, 404)  # who may write may read
    assert closed.ask(path, READ)[0] in ((200, 404) if right is Right.READ else (403,))


def test_every_route_is_in_the_table_and_the_table_has_no_other() -> None:
    model = ReadModel(LISTED)
    doors = Doors()
    owners = Owners(model, 1, doors.caller(ANSWER_S))
    api = Api(model, owners, Live(model), doors.guard("127.0.0.1"), object())  # type: ignore[arg-type]
    routes = {
        (route.method, route.resource.canonical)
        for route in api.application().router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert {path for _, path in routes} >= ALWAYS_OPEN
    routes = {(method, path) for method, path in routes if path not in ALWAYS_OPEN}
    assert routes == {(door.method, door.path) for door in API}
    assert len(API) == len(routes)


def test_workers_are_shown_the_own_token(closed: Closed) -> None:
    closed.shop.recommender.tokens.clear()
    for path in ("/api/counts/tea", "/api/history/ann", "/api/recommend/ann"):
        assert closed.ask(path, READ)[0] == 200
    assert set(closed.shop.recommender.tokens) == {f"Bearer {OF_WORKERS}"}
    assert len(closed.shop.recommender.tokens) >= 3


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/related/tea", "/metrics", "/api/demo/purchases"])
def test_a_name_of_somebody_else_is_refused_on_every_path(selling: Shop, path: str) -> None:
    open_to_all = Closed(selling.address, selling)
    status, body, headers = open_to_all.ask(path, Host="evil.example")
    assert (status, json.loads(body)["what"]) == (421, "'evil.example' is no name of this server")
    assert "Content-Security-Policy" in headers
    status, _, headers = open_to_all.ask(path, Origin="http://evil.example")
    assert status == (403 if path == "/api/demo/purchases" else 200)
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_what_a_browser_is_told(closed: Closed) -> None:
    for path, kept in (
        ("/", "no-cache"),
        ("/app.js", "no-cache"),
        ("/api/status", "no-store"),
        ("/x", "no-store"),
    ):
        _, _, headers = closed.ask(path, READ)
        assert headers["Cache-Control"] == kept
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert (
            headers["Cross-Origin-Resource-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
        )
        assert headers["Server"] == "alsobought"
        rules = headers["Content-Security-Policy"].split("; ")
        assert rules[0] == "default-src 'self'"
        assert {"frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"} <= set(rules)
    _, body, _ = closed.ask("/")
    assert body.count(b"<script") == body.count(b'<script type="module" src="') == 1  # none is inline


def test_no_trace_is_answered(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("serving.answers.status", fail)
    status, body, _ = get(f"{shop.address}/api/status")
    assert (status, json.loads(body)["what"]) == (500, "an error of ours")
    assert b"secret" not in body


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "shop.example"])
def test_it_is_not_opened_to_others_without_a_token(shop: Shop, host: str) -> None:
    with pytest.raises(OpenDoor, match=r"--host is .*, which others reach, and no token is set"):
        Server(shop.bootstrap, LISTED, host, 0)


def test_with_a_token_it_is_opened_to_others(shop: Shop) -> None:
    doors = Doors.of(Settings.model_validate({"tokens": known("page", Right.READ, READ).line}))
    thread = ServerThread(Server(shop.bootstrap, LISTED, "0.0.0.0", 0, doors=doors))
    port = thread.start().rpartition(":")[2]
    try:
        assert get(f"http://127.0.0.1:{port}/api/status")[0] == 401
        assert Closed(f"http://127.0.0.1:{port}", shop).ask("/api/status", READ)[0] == 200
    finally:
        thread.stop()


def test_addresses_of_elsewhere_are_not_called_for_a_question(shop: Shop) -> None:
    def report(worker: str) -> list[Message]:
        tasks = [f"{REPORTED}watches-{p}" for p in range(PARTITIONS)]
        published = Progress(task="", worker=worker, applied=7, stored=5, recommended=6)
        return [message("progress", name, replace(published, task=name)) for name in tasks]

    def asked() -> tuple[int, dict[str, str]]:
        return shop.ask_any("/api/recommend/ann", kind="watched")

    def at(where: str) -> bool:
        return asked()[1].get("where") == where

    try:
        for hostile in ("http://169.254.169.254", "file:///etc/passwd", "http://127.0.0.1@evil.example"):
            shop.publish(report(hostile))
            where = f"the recommender at {hostile}"
            until(partial(at, where), "the address")
            status, answer = asked()
            assert status == 503
            assert "ALSOBOUGHT_WORKER_HOSTS" in answer["what"]
    finally:
        shop.publish(report(shop.recommender.address))
    until(lambda: asked()[0] == 200, "the address again")
