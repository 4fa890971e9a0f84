"""Answers as the bytes that were sent, kept until what they are made of changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from serving import answers
from serving.kind_model import KindModel
from serving.read_model import ReadModel

KEPT_BYTES = 64 << 20
"""So many bytes of answers at most; when there are more, all are made again as they are asked for."""


class _Kept(NamedTuple):
    made_of: tuple[Any, ...]
    body: bytes


class KeptAnswers:
    """The JSON of lists and of published recommendations, made when it is first asked for.

    An answer holds as long as the record is the one that it was made of, and the catalogue has not changed.
    """

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._kept: dict[tuple[Any, ...], _Kept] = {}
        self._bytes = 0

    def related(self, of: KindModel, item_id: str, k: int) -> bytes:
        """Return the JSON of `answers.related`, and raise what it raises."""
        made_of = of.list_version(item_id), self._model.taken_items
        key = "related", of.kind.name, item_id, k
        return self._body(key, made_of, partial(answers.related, self._model, of, item_id, k))

    def published(self, of: KindModel, customer_id: str, profile_id: str | None, k: int) -> bytes:
        """Return the JSON of `answers.published`, and raise what it raises."""
        version = of.recommendations_version(customer_id, profile_id)
        made_of = version, of.profiles(customer_id), self._model.taken_items
        key = "published", of.kind.name, customer_id, profile_id, k
        return self._body(
            key, made_of, lambda: answers.published(self._model, of, customer_id, profile_id, k)
        )

    def _body(self, key: tuple[Any, ...], made_of: tuple[Any, ...], make: Callable[[], Any]) -> bytes:
        kept = self._kept.get(key)
        if kept is None or kept.made_of != made_of:
            before, kept = kept, _Kept(made_of, msgspec.json.encode(make()))
            self._bytes += len(kept.body) - (0 if before is None else len(before.body))
            if self._bytes > KEPT_BYTES:
                self._kept.clear()
                self._bytes = len(kept.body)
            self._kept[key] = kept
        return kept.body
