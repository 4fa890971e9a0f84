"""Tests of what moves on the page while lists change, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from serving.server import Server, ServerThread
from streams.kinds import BOUGHT, LISTED
from streams.messages.schema import CatalogueItem
from streams.recommending.messages import Recommended
from tests.serving.browser import IN_A_BROWSER, Browser
from tests.serving.conftest import Shop
from tests.serving.shop import NASTY, Message, a_list, catalogue, message, offered

pytestmark = IN_A_BROWSER


def test_it_hears_again_of_what_moves_after_the_server_was_away(shop: Shop, browser: Browser) -> None:
    thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", 0))
    address = thread.start()
    with browser.page(f"{address}/#items?item=milk") as page:
        rows = page.locator("section .scroll tbody tr")
        expect(rows).to_have_count(1)
        thread.stop()
        expect(page.get_by_text("no answer")).to_be_visible()
        thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", int(address.rpartition(":")[2])))
        thread.start()
        try:
            expect(page.get_by_text("no answer")).to_be_hidden()
            shop.publish([a_list(BOUGHT, "milk", 91, "bread", "tea")])
            try:
                expect(rows).to_have_count(2)
            finally:
                shop.publish([a_list(BOUGHT, "milk", 90, "tea")])
            expect(rows).to_have_count(1)
        finally:
            thread.stop()
    browser.errors[:] = [error for error in browser.errors if "ERR_CONNECTION_REFUSED" not in error]


def test_it_opens_on_a_shop_window_that_moves(shop: Shop, browser: Browser) -> None:
    with browser.page(f"{shop.address}/") as page:
        expect(page).to_have_title("Shop window · alsobought")
        milk = page.locator(".card", has=page.get_by_role("link", name="Milk, 1 l", exact=True)).first
        expect(milk).to_contain_text("50 sold in 14 days")
        expect(milk.locator("li")).to_have_text([re.compile("Tea")])
        expect(page.locator(".pulse")).to_contain_text("Lists changed a second")
        expect(page.locator(".pulse")).to_contain_text("ours25.0 %")
        shop.publish([a_list(BOUGHT, "milk", 91, "bread", "tea")])
        try:
            expect(milk.locator("li")).to_have_text(["Wholemeal bread", re.compile("Tea")])
            expect(milk).to_have_class(re.compile("changed"))
            expect(page.locator(".newest li").first).to_contain_text("Milk, 1 lgoes with Wholemeal bread")
        finally:
            shop.publish([a_list(BOUGHT, "milk", 90, "tea")])
        expect(milk.locator("li")).to_have_text([re.compile("Tea")])
        page.get_by_role("link", name="Milk, 1 l", exact=True).first.click()
        expect(page).to_have_url(re.compile("item=milk"))
        page.go_back()
        expect(page.get_by_role("heading", name="Shop window")).to_be_visible()


def test_a_name_that_comes_later_is_shown(shop: Shop, browser: Browser) -> None:
    """As when a catalogue is published after the first events."""
    named = [one for one in catalogue() if one.key in ("milk", "tea")]
    unnamed = [message(one.topic, one.key, CatalogueItem(item_id=one.key)) for one in named]
    with browser.page(f"{shop.address}/") as page:
        cards = page.locator(".card")
        expect(cards.locator("h2")).to_have_text(["1Milk, 1 l", re.compile("2.*Tea"), "3Strawberry jam"])
        shop.publish(unnamed)
        try:
            expect(cards.locator("h2")).to_have_text(["1milk", "2tea", "3Strawberry jam"])
            expect(cards.nth(0).locator("li")).to_have_text(["tea"])
        finally:
            shop.publish(named)
        expect(cards.locator("h2")).to_have_text(["1Milk, 1 l", re.compile("2.*Tea"), "3Strawberry jam"])
        expect(cards.nth(0).locator("li")).to_have_text([re.compile("Tea")])


def test_a_demo_is_shown_step_by_step(shop: Shop, browser: Browser) -> None:
    thread = ServerThread(Server(shop.bootstrap, LISTED, "127.0.0.1", 0))
    address = thread.start()
    try:
        with browser.page(f"{address}/") as page:
            story = page.locator("section", has=page.get_by_role("heading", name="What the demo does"))
            expect(page.get_by_role("heading", name="Shop window")).to_be_visible()
            expect(story).to_be_hidden()
            thread.add_step("Tea, whose list moves", "items?item=tea")
            expect(story.locator("li")).to_have_text(["Tea, whose list moves"])
            thread.add_step(f"How often: {NASTY}", "quality")
            expect(story.locator("[aria-current]")).to_have_text(f"How often: {NASTY}")
            page.get_by_role("link", name="Tea, whose list moves").click()
            expect(page).to_have_url(re.compile("#items.item=tea"))
            page.go_back()
            expect(story.locator("li")).to_have_count(2)
    finally:
        thread.stop()


def test_changes_in_a_list_are_marked(shop: Shop, browser: Browser) -> None:
    with browser.page(f"{shop.address}/#items?item=milk") as page:
        rows = page.locator("section .scroll tbody tr")
        expect(rows).to_have_count(1)
        expect(page.locator(".badge.fresh")).to_have_count(0)
        shop.publish([a_list(BOUGHT, "milk", 91, "bread", "tea")])
        try:
            expect(rows).to_have_count(2)
            expect(rows.nth(0).locator(".badge.fresh")).to_have_text("new")
            expect(rows.nth(1).locator(".badge.fresh")).to_have_text("\u22121")
            expect(page.locator(".badge.fresh")).to_have_count(0)
        finally:
            shop.publish([a_list(BOUGHT, "milk", 90, "tea")])
        expect(rows).to_have_count(1)


def test_raw_counts_are_shown_beside_it_on_demand(shop: Shop, browser: Browser) -> None:
    with browser.page(f"{shop.address}/#items?item=tea") as page:
        bars = page.locator("svg.both")
        expect(bars).to_have_count(3)
        widths = [bar.get_attribute("width") for bar in bars.locator("rect").all()]
        assert [round(float(width or 0)) for width in widths] == [186, 177, 167]  # 20, 19, 18 of 20
        expect(page.get_by_text("Most often together")).to_have_count(0)
        button = page.get_by_role("button", name="Raw counts beside it")
        button.click()
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(page).to_have_url(re.compile("item=tea&raw=1"))
        expect(page.locator(".beside tbody tr")).to_have_text(
            [re.compile("1Wholemeal bread.*33"), re.compile("2Milk.*20")]
        )
        button.click()
        expect(page.locator(".beside")).to_be_hidden()
        expect(page.get_by_role("button", name="Buy it")).to_have_count(0)  # this page does not sell


def test_a_visitor_buys_and_sees_the_list_and_the_shelves_move(selling: Shop, browser: Browser) -> None:
    with browser.page(f"{selling.address}/#items?item=milk") as page:
        page.get_by_role("button", name="Buy it for a visitor").click()
        expect(page.get_by_role("status").filter(has_text="Bought for visitor-")).to_be_visible()
        selling.publish([a_list(BOUGHT, "milk", 91, "bread", "tea")])
        try:
            expect(page.get_by_text("Its changed list was seen here after")).to_be_visible()
        finally:
            selling.publish([a_list(BOUGHT, "milk", 90, "tea")])
        visitor = page.locator(".buy a").inner_text()
        page.locator(".buy a").click()
        expect(page.get_by_text(f"nothing is published for customer '{visitor}'")).to_be_visible()
        selling.publish([offered(BOUGHT, visitor, None, Recommended("bread", 2.5, ["milk"], "related"))])
        try:
            shelf = page.locator("section", has=page.get_by_role("heading", name="Offered now"))
            expect(shelf).to_contain_text("Wholemeal bread")
        finally:
            selling.publish([Message(BOUGHT.recommendations.name, visitor, None)])
