"""Tests of buying on the page of a demo."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import Any

import msgspec
import pytest

from streams.kafka.blocking_reader import BlockingReader
from streams.kinds import BOUGHT
from streams.messages.partitioning import partition_for
from streams.messages.schema import EventMessage
from tests.serving.conftest import Shop
from tests.serving.shop import NOW_MS, PARTITIONS

PATH = "/api/demo/purchases"
WHO = "visitor-é"


def order(shop: Shop, content: Any, **headers: str) -> tuple[int, Any]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    asked = urllib.request.Request(
        shop.address + PATH, raw, {"Content-Type": "application/json", **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_purchase_on_the_page_is_published_as_any_purchase(selling: Shop) -> None:
    assert selling.ask("/api/status")["can_buy"] is True
    bought = {"customer_id": WHO, "item_id": "a/b c"}
    offsets = []
    for _ in range(2):
        status, answer = order(selling, bought, Origin=selling.address)
        assert (status, answer) == (200, {**bought, "offset": answer["offset"]})
        offsets.append(answer["offset"])
    assert offsets[1] == offsets[0] + 1
    records: list[Any] = []
    with BlockingReader(selling.bootstrap, BOUGHT.events.name, PARTITIONS) as reader:
        (tp,) = (tp for tp in reader.assigned if tp.partition == partition_for(WHO.encode(), PARTITIONS))
        reader.read_only(tp, offsets[0])
        while len(records) < 2:
            records += [record for some in reader.poll(500).values() for record in some]
    events = [msgspec.json.decode(record.value, type=EventMessage) for record in records]
    assert [record.key.decode() for record in records] == [WHO] * 2
    assert {event.customer_id for event in events} == {WHO}
    assert {(event.item_id, event.timestamp, event.type) for event in events} == {("a/b c", NOW_MS, None)}
    assert len({event.event_id for event in events}) == 2  # otherwise the second purchase would not count


@pytest.mark.parametrize(
    ("content", "headers", "status", "what"),
    [
        (b"rubbish", {}, 400, "this is no order"),
        (b'{"customer_id": 7, "item_id": "tea"}', {}, 400, "this is no order"),
        (b"x" * 3_000, {}, 400, "this is no order"),
        (b" " * (2 << 20), {}, 413, "Request Entity Too Large"),
        ({"customer_id": "visitor-1", "item_id": "tea", "more": 1}, {}, 400, "this is no order"),
        ({"customer_id": "ann", "item_id": "tea"}, {}, 403, "nothing can be bought for 'ann'"),
        ({"customer_id": "visitor-1", "item_id": "nothing"}, {}, 404, "there is no item 'nothing' to buy"),
        ({"customer_id": "visitor-1", "item_id": "gone"}, {}, 404, "there is no item 'gone' to buy"),
        (
            {"customer_id": "visitor-1", "item_id": "tea"}, {"Origin": "http://elsewhere"}, 403,
            "a page of another site may not ask",
        ),
        (
            {"customer_id": "visitor-1", "item_id": "tea"}, {"Content-Type": "text/plain"}, 403,
            "purchases are made on the page",
        ),
    ],
)  # fmt: skip
def test_bad_orders_are_refused(
    selling: Shop, content: Any, headers: dict[str, str], status: int, what: str
) -> None:
    found, answer = order(selling, content, **headers)
    assert found == status
    assert answer["what"].startswith(what)
    assert answer["what_to_do"]


def test_an_order_that_comes_in_pieces_is_read_whole(selling: Shop) -> None:
    body = json.dumps({"customer_id": "visitor-1", "item_id": "tea"}).encode()
    host, port = selling.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:9])
        assert selling.ask("/api/status")["ready"]  # the server has read the first piece by now
        connection.sendall(body[9:])
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK"), answer


def test_nothing_is_sold_elsewhere(shop: Shop) -> None:
    assert shop.ask("/api/status")["can_buy"] is False
    assert order(shop, {"customer_id": "visitor-1", "item_id": "tea"})[0] in (404, 405)
