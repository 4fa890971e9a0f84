"""Ask the processes that hold a customer or an item for what only they know: recommendations computed now,
a history, raw counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from serving.errors import ApiError
from serving.read_model import ReadModel
from streams.doors.calling import Answer, Caller
from streams.doors.errors import CallError, NotInTime
from streams.kinds import BOUGHT, Kind
from streams.messages.partitioning import partition_for
from streams.messages.schema import REPORTED
from streams.recommending.messages import Recommendations

Decoded = TypeVar("Decoded")

ANSWER_S = 10.0
LOOK = (
    "look at /api/status, start recommenders with `alsobought up` or `alsobought recommender`, and ask again"
)


class _Answer(msgspec.Struct):
    recommendations: list[Recommendations | None]
    known: list[bool]


class Bought(msgspec.Struct):
    """An item of a history: what was bought or watched of it.

    Attributes
    ----------
    quantity : int
        How many were bought, without those that were returned.
    first_ms, last_ms : int
        The times of its first and its last event, ms since 1970.
    days : int
        The number of days on which it was bought.
    """

    item_id: str
    quantity: int
    first_ms: int
    last_ms: int
    days: int


class Neighbour(msgspec.Struct):
    """An item and how many customers have it together with the one that is asked about."""

    item_id: str
    together: int


class _History(msgspec.Struct):
    history: list[Bought]


class _Counts(msgspec.Struct):
    most_together: list[Neighbour]


_decode = msgspec.json.Decoder(_Answer).decode
_decode_history = msgspec.json.Decoder(_History).decode
_decode_counts = msgspec.json.Decoder(_Counts).decode


class Owners:
    """Asks workers and recommenders by a caller, which it closes in the end."""

    def __init__(self, model: ReadModel, partitions: int, caller: Caller) -> None:
        self._model, self._partitions, self._caller = model, partitions, caller

    async def close(self) -> None:
        """Close the connections."""
        await self._caller.close()

    async def recommend(self, customer_id: str, question: dict[str, Any]) -> Recommendations | None:
        """Return the answer to a question of POST /recommendations about one customer.

        Raises
        ------
        ApiError
            400 if the recommender refuses the question, 503 if none can be asked, 504 if it takes too long.
        """
        of = self._model.kinds[question["kind"] or BOUGHT.name].kind
        own = f"{REPORTED}{of.events.name}-{partition_for(customer_id.encode(), self._partitions)}"
        progress = self._model.tasks.get(own)
        if progress is None:
            raise ApiError(
                503, f"no recommender has reported to hold {own.removeprefix(REPORTED)}", where="progress",
                what_to_do=LOOK,
            )  # fmt: skip
        body = {**question, "customers": [customer_id]}
        answer = await self._ask(progress.worker, body)
        if answer.known[0]:
            return answer.recommendations[0]
        # a producer with another partitioner may have put the customer into any partition
        others = self._workers(of) - {progress.worker}
        asked = [self._ask(worker, {**body, "here": True}) for worker in sorted(others)]
        for other in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(other, _Answer) and other.known[0]:
                return other.recommendations[0]
            if isinstance(other, BaseException) and not isinstance(other, ApiError):
                raise other
        return answer.recommendations[0]

    async def history(self, customer_id: str, kind: Kind) -> list[Bought] | None:
        """Return what a customer has bought or watched, in order of first purchase; None of nobody known.

        Raises
        ------
        ApiError
            503 if no worker can be asked, 504 if one takes too long.
        """
        workers = self._workers(kind, "")
        if not workers:
            raise ApiError(
                503, f"no worker has reported to hold {kind.events.name}", where="progress",
                what_to_do=LOOK.replace("recommender", "worker"),
            )  # fmt: skip
        found: list[Bought] = []
        # a producer with another partitioner may have put the customer into any partition
        for worker in sorted(workers):
            where = f"the worker at {worker}"
            status, raw = await self._call(where, "GET", worker, "customers", customer_id, kind=kind)
            if status == 200:
                history = _understood(_decode_history, raw, where).history
                found = max(found, history, key=len)
            elif status != 404:
                raise _refused(status, raw, where)
        return found or None

    async def most_together(self, item_id: str, kind: Kind) -> list[Neighbour] | None:
        """Return the items that an item is most often together with, by raw counts; None if it is unknown.

        Raises
        ------
        ApiError
            503 if the worker that owns the item cannot be asked, 504 if it takes too long.
        """
        own = f"{kind.deltas.name}-{partition_for(item_id.encode(), self._partitions)}"
        progress = self._model.tasks.get(own)
        if progress is None:
            raise ApiError(
                503, f"no worker has reported to hold {own}", where="progress",
                what_to_do=LOOK.replace("recommender", "worker"),
            )  # fmt: skip
        where = f"the worker at {progress.worker}"
        status, raw = await self._call(where, "GET", progress.worker, "items", item_id, kind=kind)
        if status == 404:
            return None
        if status != 200:
            raise _refused(status, raw, where)
        return _understood(_decode_counts, raw, where).most_together

    def _workers(self, kind: Kind, role: str = REPORTED) -> set[str]:
        """Return the addresses of the processes of a role that hold a partition of a kind's events."""
        names = (f"{role}{kind.events.name}-{partition}" for partition in range(self._partitions))
        return {self._model.tasks[name].worker for name in names if name in self._model.tasks}

    async def _ask(self, worker: str, question: dict[str, Any]) -> _Answer:
        where = f"the recommender at {worker}"
        body = msgspec.json.encode(question)
        status, raw = await self._call(where, "POST", worker, "recommendations", body=body)
        if status != 200:
            raise _refused(status, raw, where)
        found = _understood(_decode, raw, where)
        if not len(found.recommendations) == len(found.known) == 1:
            raise _not_understood("it is not of one customer", where)
        return found

    async def _call(
        self,
        where: str,
        method: str,
        worker: str,
        *path: str,
        kind: Kind | None = None,
        body: bytes | None = None,
    ) -> Answer:
        query = "" if kind is None else f"kind={quote(kind.name)}"
        try:
            return await self._caller.call(method, worker, *path, query=query, body=body)
        except NotInTime as error:
            raise ApiError(504, str(error), where=where, what_to_do="see its log, and ask again") from error
        except CallError as error:
            raise ApiError(503, str(error), where=where, what_to_do=LOOK) from error


def _refused(status: int, raw: bytes, where: str) -> ApiError:
    text = raw.decode(errors="replace").strip() or f"it answered {status}"
    if status == 400:
        return ApiError(400, text, where=where, what_to_do="correct the question")
    return ApiError(503, text, where=where, what_to_do=LOOK)


def _understood(decode: Callable[[bytes], Decoded], raw: bytes, where: str) -> Decoded:
    try:
        return decode(raw)
    except msgspec.MsgspecError as error:
        raise _not_understood(str(error), where) from error


def _not_understood(trouble: str, where: str) -> ApiError:
    return ApiError(
        503, f"its answer is not understood: {trouble}", where=where,
        what_to_do="run all processes and this server from the same release",
    )  # fmt: skip
