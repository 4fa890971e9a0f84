"""Ask the recommender that holds a customer for what is computed now."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec

from serving.errors import ApiError
from serving.read_model import ReadModel
from streams.kinds import BOUGHT, Kind
from streams.messages.partitioning import partition_for
from streams.messages.schema import REPORTED
from streams.recommending.messages import Recommendations

ANSWER_S = 10.0
LOOK = (
    "look at /api/status, start recommenders with `alsobought up` or `alsobought recommender`, and ask again"
)


class _Answer(msgspec.Struct):
    recommendations: list[Recommendations | None]
    known: list[bool]


_decode = msgspec.json.Decoder(_Answer).decode


class Owners:
    """Asks recommenders; it has a session of aiohttp that must be closed."""

    def __init__(self, model: ReadModel, partitions: int) -> None:
        self._model, self._partitions = model, partitions
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

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

    def _workers(self, kind: Kind) -> set[str]:
        """Return the addresses of the recommenders that hold a partition of a kind's events."""
        names = (f"{REPORTED}{kind.events.name}-{partition}" for partition in range(self._partitions))
        return {self._model.tasks[name].worker for name in names if name in self._model.tasks}

    async def _ask(self, worker: str, question: dict[str, Any]) -> _Answer:
        where = f"the recommender at {worker}"
        try:
            async with self._session.post(
                f"{worker}/recommendations",
                data=msgspec.json.encode(question),
                headers={"Content-Type": "application/json"},
            ) as answer:
                raw = await answer.read()
        except TimeoutError as error:
            raise ApiError(
                504, f"no answer in {ANSWER_S:g} s", where=where, what_to_do="see its log, and ask again"
            ) from error
        except aiohttp.ClientError as error:
            raise ApiError(503, f"it cannot be asked: {error}", where=where, what_to_do=LOOK) from error
        if answer.status != 200:
            status = 400 if answer.status == 400 else 503
            text = raw.decode(errors="replace").strip() or f"it answered {answer.status}"
            raise ApiError(
                status, text, where=where, what_to_do="correct the question" if status == 400 else LOOK
            )
        try:
            found = _decode(raw)
            if len(found.recommendations) == len(found.known) == 1:
                return found
            trouble = "it is not of one customer"
        except msgspec.MsgspecError as error:
            trouble = str(error)
        raise ApiError(
            503, f"its answer is not understood: {trouble}", where=where,
            what_to_do="run recommenders and this server from the same release",
        )  # fmt: skip
