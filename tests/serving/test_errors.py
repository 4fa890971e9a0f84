"""Errors of a question say what is wrong, where, and what to do."""

from __future__ import annotations

import pytest

from tests.serving.conftest import Shop

BY_KIND = "correct it, or leave it out"
A_K = "write k=10, for instance"


@pytest.mark.parametrize(
    ("path", "parameters", "status", "where", "what", "what_to_do"),
    [
        ("/api/related/tea", {"kind": "liked"}, 400, "parameter kind",
         "kind must be one of bought, watched, watched-bought, but is 'liked'", BY_KIND),
        ("/api/bestsellers", {"kind": "watched-bought"}, 400, "parameter kind",
         "kind must be one of bought, watched, but is 'watched-bought'", BY_KIND),
        ("/api/recommend/ann", {"kind": "watched-bought"}, 400, "parameter kind",
         "kind must be one of bought, watched, but is 'watched-bought'", BY_KIND),
        ("/api/related/tea", {"k": "0"}, 400, "parameter k",
         "k must be a whole number from 1 to 1000, but is '0'", A_K),
        ("/api/related/tea", {"k": "many"}, 400, "parameter k",
         "k must be a whole number from 1 to 1000, but is 'many'", A_K),
        ("/api/related/tea", {"k": "9" * 5_000}, 400, "parameter k",
         "k must be a whole number from 1 to 1000, but is '99", A_K),
        ("/api/recommend/ann", {"k": "101"}, 400, "parameter k",
         "k must be a whole number from 1 to 100, but is '101'", A_K),
        ("/api/related/tea", {"top": "3"}, 400, "parameter top",
         "/api/related/tea has no parameter 'top'", "take kind, k"),
        ("/api/status", {"kind": "bought"}, 400, "parameter kind",
         "/api/status has no parameter 'kind'", "leave it out"),
        ("/api/bestsellers", {"trending": "yes"}, 400, "parameter trending",
         "trending must be one of 1, true, 0, false, but is 'yes'", "write trending=1 for yes"),
        ("/api/bestsellers", {"category": "tools"}, 404, "parameter category",
         "there is no category 'tools'", "/api/categories"),
        ("/api/recommend/ann", {"shelf": "top"}, 400, "parameter shelf",
         "shelf must be one of all, new, again, but is 'top'", "correct it"),
        ("/api/recommend/ann", {"lowest_price": "nan"}, 400, "parameter lowest_price",
         "lowest_price must be a number, but is 'nan'", "write lowest_price=4.99, for instance"),
        ("/api/recommend/ann", {"highest_price": "x"}, 400, "parameter highest_price",
         "highest_price must be a number, but is 'x'", "write highest_price=4.99, for instance"),
        ("/api/recommend/ann", {"kind": "x"}, 400, "parameter kind",
         "kind must be one of bought, watched, but is 'x'", BY_KIND),
        ("/api/buy-again/ann", {"category": "food"}, 400, "parameter category",
         "/api/buy-again/ann has no parameter 'category'", "take kind"),
        ("/api/search", {"q": "x" * 201}, 400, "parameter q",
         "q must have at most 200 characters, but has 201", "shorten it"),
        ("/api/quality", {"kind": "x"}, 400, "parameter kind",
         "kind must be one of bought, watched, but is 'x'", BY_KIND),
        ("/api/related/" + "x" * 300, {}, 400, "parameter id", "the id is too long", "256 bytes"),
        ("/api/related", {}, 400, "parameter id", "it is missing", "as the parameter id"),
        ("/api/related/tea", {"id": "tea"}, 400, "parameter id",
         "/api/related/tea has no parameter 'id'", "take kind, k"),
        ("/api/related/coal", {}, 404, "items and related-items", "there is no item 'coal'", "/api/search"),
        ("/api/recommendations/eve", {}, 404, "recommendations",
         "nothing is published for customer 'eve'", "/api/recommend/"),
        ("/api/nothing", {}, 404, "the path", "there is no /api/nothing", "docs/guide"),
        ("/nothing.html", {}, 404, "the path", "there is no /nothing.html", "docs/guide"),
    ],
)  # fmt: skip
def test_errors_say_what_where_and_what_to_do(
    shop: Shop, path: str, parameters: dict[str, str], status: int, where: str, what: str, what_to_do: str
) -> None:
    found, answer = shop.ask_any(path, **parameters)
    assert (found, answer["where"]) == (status, where)
    assert answer["what"].startswith(what)
    assert what_to_do in answer["what_to_do"]
