"""The page in a real browser: chromium without a window, as `.ci/run` installs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest

from serving.server import Server, ServerThread
from streams.broker.embedded import EmbeddedKafka
from streams.kinds import LISTED
from tests.serving.conftest import Shop, get
from tests.serving.shop import NASTY
from tests.streams.pipeline import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--disable-extensions", "--no-default-browser-check", "--proxy-server=direct://",
)  # fmt: skip
VIRTUAL_MS = 3_000
DASH = "\u2013"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH: the page is not looked at (apt-get install chromium)"
)


class Browser:
    """Shows a page until everything is loaded."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile

    def _run(self, url: str, *flags: str) -> str:
        assert CHROMIUM is not None
        done = subprocess.run(
            [
                CHROMIUM, *QUIET, f"--user-data-dir={self._profile}", "--window-size=1280,1000",
                f"--virtual-time-budget={VIRTUAL_MS}", *flags, url,
            ],
            capture_output=True, text=True, timeout=90, check=False,
            env={**os.environ, "HOME": str(self._profile)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def html(self, url: str) -> str:
        """The document as it is in the end."""
        return self._run(url, "--dump-dom")

    def text(self, url: str) -> str:
        """What is to be read in it."""
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.html(url))))

    def picture(self, url: str, to: Path) -> bytes:
        """A screenshot."""
        self._run(url, f"--screenshot={to}")
        return to.read_bytes()


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path / "browser")


def test_an_item_and_what_goes_with_it(shop: Shop, browser: Browser) -> None:
    html = browser.html(f"{shop.address}/#items?q=tea&item=tea")
    assert "<title>Items · alsobought</title>" in html
    assert "<img src=x" not in html  # the title of the tea, which is no markup
    assert "&lt;img src=x onerror=" in html
    text = browser.text(f"{shop.address}/#items?item=tea")
    assert f"{NASTY} tea · drinks · Assam & Co · 0.50 · 41 customers" in text
    assert "1 Milk, 1 l milk · drinks · Assam & Co 9.00 20 3.3 7.5" in text
    assert "3 unlisted" in text


def test_searching(shop: Shop, browser: Browser) -> None:
    text = browser.text(f"{shop.address}/#items?q=Jam")
    assert text.index("Odd Ünit jam") < text.index("Strawberry jam")
    assert "Milk" not in text
    assert "No item has “zzz”" in browser.text(f"{shop.address}/#items?q=zzz")
    link = "#items?q=Jam&amp;item=a%2Fb+c"
    assert link in browser.html(f"{shop.address}/#items?q=Jam")
    assert "Odd Ünit jam a/b c · food" in browser.text(f"{shop.address}/{unescape(link)}")


def test_bestsellers_of_a_category(shop: Shop, browser: Browser) -> None:
    text = browser.text(f"{shop.address}/#bestsellers?category=food")
    assert "Nothing was sold in the newest two weeks" in text
    assert re.search(r"Rising .*1 Strawberry jam jam · food 50 4\.5", text)
    assert "2 tea" not in text
    assert re.search(r"Bestsellers .*1 Milk, 1 l .* 50", browser.text(f"{shop.address}/#bestsellers"))


def test_a_customer_and_why(shop: Shop, browser: Browser) -> None:
    text = browser.text(f"{shop.address}/#customers?customer=ann")
    offered = text[text.index("Offered now") : text.index("New to the customer")]
    assert "Strawberry jam jam · food related" in offered
    assert f"Because of {NASTY} , Milk, 1 l" in offered
    assert "bread · food bestseller Sells well just now" in offered
    assert "Profile of the account everybody kids" in text
    assert "in variant test" in text
    again = text[text.index("Buy it again Computed now") :]
    assert "buy it again Because of Milk, 1 l" in again
    nobody = browser.text(f"{shop.address}/#customers?customer={quote('no<b>ody')}")
    assert "nothing is published for customer 'no<b>ody'" in nobody


def test_quality_experiments_and_what_was_learnt(shop: Shop, browser: Browser) -> None:
    html = browser.html(f"{shop.address}/#quality")
    chart = html[html.index("<svg") : html.index("</svg>")]
    assert len(re.findall(r'<path class="series', chart)) == 2  # ours and bestsellers: two days each
    assert 'aria-label="Hit rates per day: ours 25.0 %, bestsellers 10.0 %' in chart
    text = browser.text(f"{shop.address}/#quality")
    assert re.search(rf"ours learnt here 200 50 25\.0 % 19\.\d % {DASH} 31\.\d %", text)
    assert "ours against control: +40.0 points, significant" in text
    assert "400 training steps" in text
    assert re.search(r"sold in 14 days 1\.75", text)
    assert re.search(r"goes with the history, over expected -0\.50", text)


def test_partitions_and_the_other_kind(shop: Shop, browser: Browser) -> None:
    text = browser.text(f"{shop.address}/#system?kind=watched")
    assert (
        "Partition Behind Lists behind Not recommended to Counted to Stored to Refused Lists p50 p99" in text
    )
    assert re.search(
        rf"pair-deltas-watched-1 (silent )?0 {DASH} {DASH} 7 5 2 3 40 ms {DASH} http://worker", text
    )
    assert re.search(
        rf"recommender/watches-1 (silent )?0 {DASH} 0 7 5 0 0 {DASH} {DASH} http://127\.0\.0\.1:", text
    )
    assert "null" not in text
    assert "6 items in the catalogue" in text
    assert "1 Wholemeal bread" in browser.text(f"{shop.address}/#items?kind=watched&item=tea")


def test_what_was_watched_and_then_bought(shop: Shop, browser: Browser) -> None:
    text = browser.text(f"{shop.address}/#items?kind=watched-bought&item=tea")
    assert "12 customers" in text
    assert re.search(r"then bought.* 1 Milk, 1 l", text, re.IGNORECASE)
    assert "1 Milk, 1 l" in browser.text(f"{shop.address}/#bestsellers?kind=watched-bought")  # of purchases


def test_it_is_drawn(shop: Shop, browser: Browser, tmp_path: Path) -> None:
    picture = browser.picture(f"{shop.address}/#quality", tmp_path / "page.png")
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000  # an empty page has a few thousand bytes


def test_an_empty_system_says_what_to_do(new_kafka: Callable[[], EmbeddedKafka], browser: Browser) -> None:
    thread = ServerThread(Server(new_kafka().bootstrap, LISTED, "127.0.0.1", 0))
    address = thread.start()
    try:
        until(lambda: b'"ready":true' in get(f"{address}/api/status")[1], "the read model")
        text = browser.text(f"{address}/#items")
        assert "There are no items yet. The catalogue comes with alsobought publish items FILE" in text
        assert "no workers" in text
        assert "alsobought publish watches FILE" in browser.text(f"{address}/#items?kind=watched")
        assert "No customer has come back yet" in browser.text(f"{address}/#quality")
        assert "No worker has reported. Start everything with alsobought up" in browser.text(
            f"{address}/#system"
        )
        assert "No recommendations are published yet" in browser.text(f"{address}/#customers")
        assert "Nothing rises" in browser.text(f"{address}/#bestsellers")
        now = browser.text(f"{address}/#customers?customer=ann")
        assert "no recommender has reported to hold purchases-" in now
    finally:
        thread.stop()
