"""A Kafka with a published shop and the server over it, shared by all tests of this folder."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from streams.connections.bootstrap import Bootstrap

if TYPE_CHECKING:
    from kafka import KafkaProducer

    from streams.broker.embedded import EmbeddedKafka
    from tests.serving.browser import Browser
    from tests.serving.shop import FakeRecommender, Message

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url: str) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers."""
    try:
        with _opener.open(url, timeout=20) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


@dataclass
class Shop:
    """The running server and its parts."""

    bootstrap: Bootstrap
    address: str
    recommender: FakeRecommender
    producer: KafkaProducer

    def ask(self, path: str, **parameters: Any) -> Any:
        """Return the JSON of an answer whose status must be 200."""
        status, reported = self.ask_any(path, **parameters)
        assert status == 200, reported
        return reported

    def ask_any(self, path: str, **parameters: Any) -> tuple[int, Any]:
        """Return status and JSON of any answer."""
        status, body, headers = get(f"{self.address}{path}?{urllib.parse.urlencode(parameters, doseq=True)}")
        assert headers["Content-Type"].startswith("application/json"), body
        return status, json.loads(body)

    def publish(self, messages: Iterable[Message]) -> None:
        """Write records, and wait until Kafka has them."""
        sent = [self.producer.send(m.topic, key=m.key.encode(), value=m.value) for m in messages]
        self.producer.flush()
        for future in sent:
            future.get(0)  # raises the error of a failed send


@pytest.fixture(scope="package")
def kafka_of_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Return a Kafka with all topics."""
    from streams.broker.embedded import EmbeddedKafka
    from streams.broker.topics_admin import create_topics
    from streams.kinds import topics_of
    from streams.settings import Settings
    from tests.serving.shop import PARTITIONS

    settings = Settings.model_validate({})
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka-of-shop"), cache_dir=settings.cache_dir) as kafka:
        create_topics(kafka.bootstrap, topics_of(settings), PARTITIONS, 1)
        yield kafka


@pytest.fixture(scope="package")
def shop(kafka_of_shop: EmbeddedKafka) -> Iterator[Shop]:
    """Publish and serve the shop of tests/serving/shop.py."""
    from kafka import KafkaProducer

    from serving.server import Server, ServerThread
    from streams.kinds import LISTED
    from tests.serving.shop import FakeRecommender, messages
    from tests.streams.pipeline import until

    recommender, bootstrap = FakeRecommender(), kafka_of_shop.bootstrap
    producer = KafkaProducer(bootstrap_servers=bootstrap.servers, acks="all")
    thread = ServerThread(Server(bootstrap, LISTED, "127.0.0.1", 0))
    shop = Shop(bootstrap, "", recommender, producer)
    shop.publish(messages(recommender.address))
    shop.address = thread.start()
    try:
        until(lambda: shop.ask("/api/status")["ready"], "the read model")
        yield shop
    finally:
        thread.stop()
        producer.close()
        recommender.stop()


@pytest.fixture(scope="package")
def selling(shop: Shop) -> Iterator[Shop]:
    """Serve the same shop on a page that sells, like the page of a demo."""
    from serving.server import Server, ServerThread
    from streams.kinds import LISTED
    from tests.streams.pipeline import until

    thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", 0, buying=True))
    selling = Shop(shop.bootstrap, thread.start(), shop.recommender, shop.producer)
    try:
        until(lambda: selling.ask("/api/status")["ready"], "the read model")
        yield selling
    finally:
        thread.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser."""
    from playwright.sync_api import sync_playwright

    from tests.serving.browser import Browser

    with sync_playwright() as playwright:
        browser = Browser(playwright)
        yield browser
        browser.close()


@pytest.fixture
def nothing_goes_wrong(browser: Browser) -> Iterator[None]:
    """Check after a test that the pages that it showed had no errors."""
    browser.errors.clear()
    yield
    # the browser itself reports answers of 404 or 503, and the page shows them
    assert [error for error in browser.errors if not error.startswith("Failed to load resource")] == []
