"""Tests of what the page shows, in a real browser; `test_moving_page` has those of what moves on it."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from serving.server import Server, ServerThread
from streams.broker.embedded import EmbeddedKafka
from streams.doors.policy import Doors
from streams.doors.rights import Right
from streams.doors.tokens import known, make_token
from streams.kinds import BOUGHT, LISTED
from streams.settings import Settings
from tests.serving.browser import DESKTOP, IN_A_BROWSER, PHONE, Browser
from tests.serving.conftest import Shop, get
from tests.serving.shop import NASTY, a_list
from tests.streams.pipeline import until

VIEWS = ("shop", "items?item=tea", "bestsellers", "customers?customer=ann", "quality", "system")
DASH = "\u2013"

pytestmark = IN_A_BROWSER


def test_an_item_and_its_related_items(shop: Shop, browser: Browser) -> None:
    html = browser.html(f"{shop.address}/#items?q=tea&item=tea")
    assert "<title>Items · alsobought</title>" in html
    assert "<img src=x" not in html  # the title of the tea, shown as text and not as markup
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


def test_quality_experiments_and_learnt_weights(shop: Shop, browser: Browser) -> None:
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


def test_watched_and_then_bought(shop: Shop, browser: Browser) -> None:
    text = browser.text(f"{shop.address}/#items?kind=watched-bought&item=tea")
    assert "12 customers" in text
    assert re.search(r"then bought.* 1 Milk, 1 l", text, re.IGNORECASE)
    # this is about purchases
    assert "1 Milk, 1 l" in browser.text(f"{shop.address}/#bestsellers?kind=watched-bought")


def test_where_a_token_is_wanted_it_is_asked_for_or_comes_in_the_address(
    shop: Shop, browser: Browser
) -> None:
    token = make_token()
    doors = Doors.of(Settings.model_validate({"tokens": known("page", Right.READ, token).line}))
    thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", 0, doors=doors))
    address = thread.start()
    window = re.compile("Tea")
    try:
        with browser.page(f"{address}/") as page:
            expect(page.get_by_role("heading", name="This server wants a token")).to_be_visible()
            assert Axe().run(page).violations_count == 0
            page.get_by_label("Token").fill(make_token())
            page.keyboard.press("Enter")
            expect(page.get_by_text("the token is not known")).to_be_visible()
            page.get_by_label("Token").fill(token)
            page.keyboard.press("Enter")
            expect(page.locator(".card").filter(has_text=window).first).to_be_visible()
            page.reload()
            expect(page.locator(".card").filter(has_text=window).first).to_be_visible()
        with browser.page(f"{address}/#token={token}") as page:
            expect(page.locator(".card").filter(has_text=window).first).to_be_visible()
            assert token not in page.url
            shop.publish([a_list(BOUGHT, "milk", 91, "bread", "tea")])  # heard of by the stream
            try:
                expect(page.locator(".newest li").first).to_contain_text("Milk, 1 lgoes with Wholemeal bread")
            finally:
                shop.publish([a_list(BOUGHT, "milk", 90, "tea")])
            page.goto(f"{address}/#items?item=milk")
            expect(page.locator("section .scroll tbody tr")).to_have_count(1)
    finally:
        thread.stop()


def test_a_customer_has_a_history(shop: Shop, browser: Browser) -> None:
    with browser.page(f"{shop.address}/#customers?customer=ann") as page:
        past = page.locator("section", has=page.get_by_role("heading", name="History"))
        expect(past.locator("tbody tr")).to_have_text([
            re.compile("unlisted3"), re.compile("Tea.*2"), re.compile("Milk.*12025-06-16"),
        ])  # fmt: skip


def test_the_system_in_words_and_as_a_picture(shop: Shop, browser: Browser) -> None:
    with browser.page(f"{shop.address}/#system") as page:
        expect(page.get_by_text("2 partitions of purchases are counted by 1 worker")).to_be_visible()
        label = page.locator("svg.flow").get_attribute("aria-label")
        assert label is not None
        assert "purchases a second are counted" in label
        assert label.endswith("recommendations follow, 0 events behind")


def test_it_works_by_keyboard(shop: Shop, browser: Browser) -> None:
    with browser.page(f"{shop.address}/#items") as page:
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        page.get_by_label("Find an item by its title or id").focus()
        page.keyboard.type("jam")
        expect(page.locator(".results li")).to_have_count(2)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Strawberry jam")).to_be_visible()
        page.get_by_role("button", name="Raw counts beside it").focus()
        page.keyboard.press("Space")
        expect(page.get_by_role("button", name="Raw counts beside it")).to_have_attribute(
            "aria-pressed", "true"
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(shop: Shop, browser: Browser, scheme: str, viewport: dict[str, int]) -> None:
    for view in VIEWS:
        with browser.page(f"{shop.address}/#{view}", color_scheme=scheme, viewport=viewport) as page:
            found = Axe().run(page)
            assert found.violations_count == 0, f"{view}: {found.generate_report()}"
            wider = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert wider <= 0, f"{view} is {wider} px wider than the window"
            picture = page.screenshot()
            assert picture.startswith(b"\x89PNG")
            assert len(picture) > 15_000  # an empty page has a few thousand bytes


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
