"""Questions that only the recommender which holds a customer's partition can answer: computed now."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from serving.errors import ApiError
from serving.read_model import ReadModel
from streams.kinds import BOUGHT
from streams.messages import REPORTED
from streams.partitioning import partition_for
from streams.recommending.messages import Recommendations

ANSWER_S = 10.0
LOOK = (
    "look at /api/status, start recommenders with `alsobought up` or `alsobought recommender`, and ask again"
)


class _Answer(msgspec.Struct):
    recommendations: list[Recommendations | None]


_decode = msgspec.json.Decoder(_Answer).decode


class Owners:
    """Asks recommenders; a session of aiohttp that is to be closed."""

    def __init__(self, model: ReadModel, partitions: int) -> None:
        self._model, self._partitions = model, partitions
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def recommend(self, customer_id: str, question: dict[str, Any]) -> Recommendations | None:
        """The answer to a question of POST /recommendations about one customer.

        Raises
        ------
        ApiError
            400 if the recommender refuses the question, 503 if none can be asked, 504 if it takes too long.
        """
        of = self._model.kinds[question["kind"] or BOUGHT.name].kind
        task = f"{REPORTED}{of.events.name}-{partition_for(customer_id.encode(), self._partitions)}"
        progress = self._model.tasks.get(task)
        if progress is None:
            raise ApiError(
                503, f"no recommender has reported to hold {task}", where="progress", what_to_do=LOOK
            )
        where = f"the recommender at {progress.worker}"
        body = msgspec.json.encode({**question, "customers": [customer_id]})
        try:
            async with self._session.post(
                f"{progress.worker}/recommendations",
                data=body,
                headers={"Content-Type": "application/json"},
            ) as answer:
                told = await answer.read()
        except TimeoutError as error:
            raise ApiError(
                504, f"no answer in {ANSWER_S:g} s", where=where, what_to_do="see its log, and ask again"
            ) from error
        except aiohttp.ClientError as error:
            raise ApiError(503, f"it cannot be asked: {error}", where=where, what_to_do=LOOK) from error
        if answer.status != 200:
            status = 400 if answer.status == 400 else 503
            text = told.decode(errors="replace").strip() or f"it answered {answer.status}"
            raise ApiError(
                status, text, where=where, what_to_do="correct the question" if status == 400 else LOOK
            )
        try:
            return _decode(told).recommendations[0]
        except (msgspec.MsgspecError, IndexError) as error:
            raise ApiError(
                503, f"its answer is not understood: {error}", where=where,
                what_to_do="run workers and this server from the same release",
            ) from error  # fmt: skip
