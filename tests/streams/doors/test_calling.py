"""Addresses that somebody wrote to a topic: which are called, and what is taken from them."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from streams.doors.calling import Answer, Caller, call_now, check_address
from streams.doors.errors import AddressRefused, AnswerRefused, CallError, NoAnswer, NotInTime
from streams.doors.names import Hosts
from streams.doors.policy import Doors
from streams.settings import Settings


def hosts(worker_hosts: str | None = None) -> Hosts:
    return Doors.of(Settings.model_validate({"worker_hosts": worker_hosts})).called


NO_ADDRESSES = (
    "", "worker", "//worker", "file:///etc/passwd", "ftp://127.0.0.1", "gopher://127.0.0.1", "HTTP:127.0.0.1",
    "http://", "http:///x", "http://127.0.0.1/x", "http://127.0.0.1?x", "http://127.0.0.1#x", "http://127.0.0.1/",
    "http://ann@127.0.0.1", "http://127.0.0.1@evil.example", "http://127.0.0.1:80@evil.example",
    "http://127.0.0.1\\@evil.example", "http://127.0.0.1:0", "http://127.0.0.1:65536", "http://127.0.0.1:8_0",
    "http://127.0.0.1:", "http://127.0.0.1 ", " http://127.0.0.1", "http://127.0.0.1\r\nX: y", "http://127.0.0.1\n",
    "http://a b", "http://é", "http://\uff11\uff127.0.0.1", "http://[::1", "http://[::1]x", "http://[fe80::1%25lo]",
    "http://[1.2.3.4]x", "http://[:]", "http://%31%32%37.0.0.1", "unix:///run/docker.sock",
    "http://" + "a" * 5_000,
)  # fmt: skip
REFUSED = (
    "http://169.254.169.254", "http://[::ffff:169.254.169.254]", "http://[::ffff:a9fe:a9fe]:80", "http://0.0.0.0",
    "http://[::]", "http://8.8.8.8", "http://100.64.0.1", "http://[fe80::1]", "http://224.0.0.1",
    "http://255.255.255.255", "http://[2001:db8::1]", "http://[64:ff9b::a00:1]", "http://198.18.0.1",
)  # fmt: skip
CALLED = (
    "http://127.0.0.1:6066", "https://127.0.0.1", "http://[::1]:6066", "http://10.1.2.3:1", "http://172.16.0.1",
    "http://192.168.255.255:65535", "http://[fd00::1]", "http://worker-1:8100", "http://worker_1.internal",
    "http://[::ffff:10.0.0.1]",
)  # fmt: skip


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(
        AddressRefused, match=r"is not http://HOST:PORT: allow its host by ALSOBOUGHT_WORKER"
    ) as e:
        check_address(address, Hosts(["0.0.0.0/0", "::/0"]))
    assert str(e.value).isprintable()
    assert len(str(e.value)) < 500


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_of_elsewhere_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match="is not among the addresses that may be called"):
        check_address(address, hosts())


@pytest.mark.parametrize("address", CALLED)
def test_an_address_of_ours_is_called(address: str) -> None:
    check_address(address, hosts())


def test_a_list_stands_instead() -> None:
    some = hosts("worker-1, .shop.internal, 203.0.113.0/24, 10.0.0.7")
    for address in ("http://203.0.113.9:1", "http://10.0.0.7"):
        check_address(address, some)
    for address in ("http://127.0.0.1", "http://10.0.0.8", "http://[::1]"):
        with pytest.raises(AddressRefused):
            check_address(address, some)
    assert [some.has_name(name) for name in ("worker-1", "WORKER-1.", "a.b.shop.internal")] == [True] * 3
    assert [some.has_name(name) for name in ("worker-12", "shop.internal", "xshop.internal", "")] == [
        False
    ] * 4


def resolved(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let every name have these addresses; returns the names that are looked up."""
    asked: list[str] = []

    async def getaddrinfo(_loop: Any, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        families = [(socket.AF_INET6 if ":" in answer else socket.AF_INET, answer) for answer in answers]
        return [
            (family, socket.SOCK_STREAM, 6, "", (ip, port, 0, 0) if ":" in ip else (ip, port))
            for family, ip in families
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


@contextmanager
def answering(answer: Callable[[bytes], bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """A server of raw bytes on a port; the requests that came."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(1 << 16))
                    with suppress(OSError):  # who is sent too much hangs up
                        connection.sendall(answer(asked[-1]))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], asked
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def reply(status: str, body: bytes = b"", *headers: str) -> Callable[[bytes], bytes]:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
    return lambda _: head.encode() + b"\r\n\r\n" + body


def call(address: str, some: Hosts | None = None, timeout_s: float = 20.0, most: int = 1_000) -> Answer:
    return call_now(
        Caller(some or hosts(), "alsobought-token", timeout_s, most), "GET", address, "a", "b/../ä?#"
    )


def test_a_call_shows_the_token_and_keeps_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(reply("200 OK", b"hello", "Set-Cookie: a=b")) as (port, asked):
        assert call(f"http://127.0.0.1:{port}") == (200, b"hello")
    line, *headers = asked[0].decode().split("\r\n")
    assert line == "GET /a/b%2F..%2F%C3%A4%3F%23 HTTP/1.1"
    assert "Authorization: Bearer alsobought-token" in headers
    assert "Accept-Encoding: identity" in headers


@pytest.mark.parametrize("elsewhere", ["169.254.169.254", "8.8.8.8", "0.0.0.0", "::ffff:169.254.169.254"])
def test_a_name_of_an_address_of_elsewhere_is_refused(
    monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    resolved(monkeypatch, elsewhere)
    with pytest.raises(AddressRefused, match=r"'worker' is at .*, which is not among the addresses"):
        call("http://worker:80")


def test_a_name_is_looked_up_once_and_what_was_looked_at_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolved(monkeypatch, "169.254.169.254", "127.0.0.1")
    with answering(reply("200 OK", b"hello")) as (port, _):
        assert call(f"http://worker:{port}").body == b"hello"  # at the one that may be called
    assert asked == ["worker"]


def test_a_listed_name_may_be_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(monkeypatch, "127.0.0.1")
    with answering(reply("200 OK", b"hello")) as (port, asked):
        assert call(f"http://worker:{port}", hosts("worker")).status == 200
        with pytest.raises(AddressRefused):
            call(f"http://other:{port}", hosts("worker"))
    assert len(asked) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    with answering(reply("200 OK", b"secret")) as (target, asked):
        location = f"Location: http://127.0.0.1:{target}/"
        with (
            answering(reply(status, b"", location)) as (port, _),
            pytest.raises(AnswerRefused, match="it redirects"),
        ):
            call(f"http://127.0.0.1:{port}")
    assert asked == []


def test_an_answer_has_a_bound() -> None:
    with answering(reply("200 OK", b"x" * 1_000)) as (port, _):
        assert len(call(f"http://127.0.0.1:{port}").body) == 1_000
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"400\r\n" + b"x" * 1_024 + b"\r\n") * 99
    )
    for answer in (
        reply("200 OK", b"x" * 1_001),
        lambda _: chunked,
        lambda _: b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000,
    ):
        with answering(answer) as (port, _), pytest.raises(AnswerRefused, match="more than 1,000 bytes"):
            call(f"http://127.0.0.1:{port}")


def test_what_is_compressed_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * 500_000)
    assert len(bomb) < 1_000
    with answering(reply("200 OK", bomb, "Content-Encoding: gzip")) as (port, _):
        assert call(f"http://127.0.0.1:{port}").body == bomb


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 99_999,
    ],
)
def test_what_is_no_answer_is_said(answer: bytes) -> None:
    with answering(lambda _: answer) as (port, _), pytest.raises(NoAnswer, match="it cannot be asked"):
        call(f"http://127.0.0.1:{port}")


def test_who_does_not_answer_is_not_waited_for() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(NotInTime, match=r"no answer in 0\.2 s"),
    ):
        call(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2)
    assert issubclass(NotInTime, CallError)
