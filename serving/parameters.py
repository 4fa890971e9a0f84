"""The parameters of a question. Each is checked; an error names what is wrong and what is expected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from serving.errors import bad
from streams.messages.schema import MAX_ID_BYTES

MOST = 1_000
MAX_QUERY = 200
SHELVES = ("all", "new", "again")
FLAGS = {"1": True, "true": True, "0": False, "false": False}


class Parameters:
    """The parameters of a request. It may only have those in `known`; others are refused by name."""

    def __init__(self, request: web.Request, known: tuple[str, ...]) -> None:
        self._query = request.query
        self._path = request.match_info
        allowed = [name for name in known if name != "id" or "id" not in self._path]
        for name in self._query:
            if name not in allowed:
                offered = f"take {', '.join(allowed)}" if allowed else "leave it out"
                raise bad(name, f"{request.path} has no parameter {name!r}", offered)

    def id(self) -> str:
        """Return the id in the path, or the parameter `id`, since browsers do not send a path that ends in
        `..`.
        """
        name = self._path.get("id") or self._query.get("id", "")
        if not name:
            raise bad("id", "it is missing", "add it to the path, or as the parameter id")
        if len(name.encode()) > MAX_ID_BYTES:
            raise bad("id", "the id is too long", f"an id has 1 to {MAX_ID_BYTES} bytes")
        return name

    def text(self, name: str) -> str | None:
        """Return a text; None if it is missing or empty."""
        return self._query.get(name) or None

    def query(self, name: str) -> str:
        """Return a text to look for, maybe empty."""
        text = self._query.get(name, "")
        if len(text) > MAX_QUERY:
            raise bad(
                name, f"{name} must have at most {MAX_QUERY} characters, but has {len(text)}", "shorten it"
            )
        return text

    def texts(self, name: str) -> list[str]:
        """Return all values of a parameter that may be repeated."""
        return [value for value in self._query.getall(name, []) if value]

    def k(self, default: int, most: int = MOST) -> int:
        """Return how many entries are asked for."""
        text = self._query.get("k", str(default))
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most):
            raise bad(
                "k", f"k must be a whole number from 1 to {most}, but is {text!r}", "write k=10, for instance"
            )
        return int(text)

    def since(self, last_heard: str | None) -> int:
        """Return the time after which pulses are asked for, ms since 1970; 0 for all.

        Parameters
        ----------
        last_heard
            The same as a browser has it that connects again; it is newer than the parameter.
        """
        if last_heard is not None and last_heard.isascii() and last_heard.isdigit():
            return int(last_heard[:16])
        text = self._query.get("since", "0")
        if not (text.isascii() and text.isdigit()):
            raise bad(
                "since", f"since must be a time in ms since 1970, but is {text!r}",
                "take at_ms of the last pulse that was heard, or leave it out",
            )  # fmt: skip
        return int(text[:16])

    def flag(self, name: str) -> bool:
        """Return whether a flag is set."""
        text = self._query.get(name, "0")
        if text not in FLAGS:
            raise bad(
                name, f"{name} must be one of {', '.join(FLAGS)}, but is {text!r}", f"write {name}=1 for yes"
            )
        return FLAGS[text]

    def price(self, name: str) -> float | None:
        """Return a price, None if it is missing."""
        text = self.text(name)
        if text is None:
            return None
        try:
            price = float(text)
        except ValueError:
            price = math.nan
        if not math.isfinite(price):
            raise bad(name, f"{name} must be a number, but is {text!r}", f"write {name}=4.99, for instance")
        return price

    def kind(self, kinds: Mapping[str, Any], default: str | None) -> str | None:
        """Return the name of one of the kinds, or the default."""
        name = self.text("kind") or default
        if name is not None and name not in kinds:
            raise bad(
                "kind",
                f"kind must be one of {', '.join(kinds)}, but is {name!r}",
                "correct it, or leave it out",
            )
        return name

    def shelf(self) -> str:
        """Return what may be recommended: new items, those the customer has, or all."""
        name = self._query.get("shelf", "all")
        if name not in SHELVES:
            raise bad("shelf", f"shelf must be one of {', '.join(SHELVES)}, but is {name!r}", "correct it")
        return name
