"""A real browser that shows the page: headless chromium, as `.ci/run` installs it, driven by Playwright."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright, expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DESKTOP, PHONE = {"width": 1280, "height": 1000}, {"width": 390, "height": 844}
WAIT_MS = 180_000
expect.set_options(timeout=WAIT_MS)

IN_A_BROWSER = [
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="the page is not looked at: no chromium is on the PATH (apt-get install chromium)",
    ),
    pytest.mark.usefixtures("nothing_goes_wrong"),
]
"""The marks of tests that look at the page."""


class Browser:
    """A browser that shows pages until they have everything that they ask for."""

    def __init__(self, playwright: Playwright) -> None:
        assert CHROMIUM is not None
        self._chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        self.errors: list[str] = []

    @contextlib.contextmanager
    def page(self, url: str, **options: Any) -> Iterator[Page]:
        """Open a page in a window of its own, and close it at the end; `errors` has what went wrong in it."""
        context = self._chromium.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(WAIT_MS)
        try:
            page = context.new_page()
            page.on("pageerror", lambda error: self.errors.append(str(error)))
            page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
            asked: set[Any] = set()
            page.on("request", lambda request: asked.add(request))
            page.on("requestfinished", lambda request: asked.discard(request))
            page.on("requestfailed", lambda request: asked.discard(request))
            page.goto(url, wait_until="load")
            self.settle(page, asked)
            yield page
        finally:
            context.close()

    def settle(self, page: Page, asked: set[Any]) -> None:
        """Wait until no request but the endless stream is under way, and everything is shown."""
        quiet = 0
        while quiet < 5:
            page.wait_for_timeout(40)
            waiting = any("/api/live" not in request.url for request in asked)
            quiet = 0 if waiting or page.locator(".loading").count() else quiet + 1

    def html(self, url: str) -> str:
        """Return the final document."""
        with self.page(url) as page:
            return page.content()

    def text(self, url: str) -> str:
        """Return the visible text."""
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", self.html(url))))

    def close(self) -> None:
        """Close the browser."""
        self._chromium.close()
