"""Tokens from a file that is replaced, and from a token endpoint that a test stands in for."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from streams.connections.errors import TokenUnavailable
from streams.connections.tokens import TokenEndpoint, TokenFile

SECRET = "s3cret/of worker"


class Endpoint(BaseHTTPRequestHandler):
    """Answers as it is told, and remembers what it was asked."""

    answers: ClassVar[list[tuple[int, bytes]]] = []
    asked: ClassVar[list[tuple[str, dict[str, list[str]]]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append((self.headers["Authorization"], urllib.parse.parse_qs(body)))
        status, answer = self.answers.pop(0)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Endpoint.answers.clear()
    Endpoint.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/token"
        server.shutdown()
        thread.join()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def endpoint(url: str, clock: Clock, scope: str | None = "kafka") -> TokenEndpoint:
    context = ssl.create_default_context()
    return TokenEndpoint(url, "worker:1", SecretStr(SECRET), scope, context, clock)


def granted(token: str, **more: Any) -> tuple[int, bytes]:
    return 200, json.dumps({"access_token": token, "token_type": "Bearer", **more}).encode()


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "token")
    with pytest.raises(TokenUnavailable, match=r"cannot be read: No such file.*have it renewed"):
        tokens.token()
    for token in ("first", "second"):
        (tmp_path / "token").write_text(f"{token}\n")
        assert tokens.token() == token
    for wrong in ("", "two words"):
        (tmp_path / "token").write_text(wrong)
        with pytest.raises(TokenUnavailable, match="must hold one token and nothing else") as caught:
            tokens.token()
        assert "two words" not in str(caught.value)


def test_a_token_is_kept_until_it_is_about_to_expire(url: str) -> None:
    clock = Clock()
    tokens = endpoint(url, clock)
    Endpoint.answers += [granted("one", expires_in=100), granted("two", expires_in=10), granted("three")]
    assert tokens.token() == "one"
    clock.now = 79.9
    assert tokens.token() == "one"
    clock.now = 80.1
    assert tokens.token() == "two"
    clock.now = 90
    assert tokens.token() == "three"
    authorization, fields = Endpoint.asked[0]
    assert (
        base64.b64decode(authorization.removeprefix("Basic ")).decode() == "worker%3A1:s3cret%2Fof%20worker"
    )
    assert fields == {"grant_type": ["client_credentials"], "scope": ["kafka"]}
    assert len(Endpoint.asked) == 3


def test_no_scope_is_asked_for_unless_one_is_set(url: str) -> None:
    Endpoint.answers.append(granted("one"))
    assert endpoint(url, Clock(), None).token() == "one"
    assert Endpoint.asked[0][1] == {"grant_type": ["client_credentials"]}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, b'{"error": "invalid_client"}'), r"it answers 401 \(invalid_client\)"),
        ((500, b"<html>"), "it answers 500"),
        ((302, b""), "it answers 302"),
        ((200, b"<html>"), "its answer is not JSON"),
        ((200, b"[]"), "its answer has no access_token"),
        ((200, b'{"access_token": "a b"}'), "its answer has no access_token"),
        (granted("t0ken", expires_in="soon"), "its expires_in is not a number"),
        (granted("t0ken", expires_in=0), "its expires_in is not a number"),
    ],
)
def test_what_an_endpoint_may_answer_instead_is_said(url: str, answer: tuple[int, bytes], said: str) -> None:
    Endpoint.answers.append(answer)
    with pytest.raises(TokenUnavailable, match=said) as caught:
        endpoint(url, Clock()).token()
    assert "to the client worker:1" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "t0ken" not in str(caught.value)
    assert len(Endpoint.asked) == 1, "no redirect is followed"


def test_an_endpoint_that_is_away_is_asked_again_the_next_time(url: str) -> None:
    tokens = endpoint(url, Clock())
    Endpoint.answers += [(503, b""), granted("new")]
    with pytest.raises(OSError, match="it answers 503"):
        tokens.token()
    assert tokens.token() == "new"
    with pytest.raises(TokenUnavailable, match="refused"):
        endpoint("http://127.0.0.1:1/", Clock()).token()
