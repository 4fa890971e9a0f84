"""Every process says whether it lives, and whether it does its work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from aiohttp import web
from faust.types import TP

from streams.health import health_routes
from streams.recommending.tasks import RecommenderTasks
from streams.settings import Settings
from streams.topics import PURCHASES
from streams.worker import Tasks
from tests.serving.conftest import get


@pytest.mark.parametrize("role", [Tasks, RecommenderTasks])
def test_a_process_is_not_ready_before_it_counts_all_that_it_is_assigned(
    role: type[Tasks], tmp_path: Path
) -> None:
    assigned: set[TP] = set()
    app = SimpleNamespace(consumer=SimpleNamespace(assignment=lambda: assigned))

    async def main() -> None:
        tasks = role(app, Settings.model_validate({"data_dir": tmp_path}))
        assert tasks.waits_for() == ["the consumer group does not count this process as its member"]
        tasks.lease.confirm()
        if isinstance(tasks, RecommenderTasks):
            assert tasks.waits_for() == ["what is published is not read yet"]
            tasks._shared_state.follower.caught_up.set()
        assert tasks.waits_for() == [], "there may be more processes than partitions"
        assigned.update({TP(PURCHASES.name, 1), TP(PURCHASES.name, 0), TP("another", 0)})
        tasks._open[TP(PURCHASES.name, 0)] = None  # type: ignore[assignment]
        assert tasks.waits_for() == [f"{PURCHASES.name}-1 is not open"]

    asyncio.run(main())


def test_who_is_not_ready_answers_503_and_says_why() -> None:
    async def main() -> None:
        app = web.Application()
        app.add_routes(health_routes(lambda: ["rain"]))
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        status, body, _ = await asyncio.to_thread(get, f"{address}/readyz")
        assert (status, msgspec.json.decode(body)) == (503, {"ready": False, "waits_for": ["rain"]})
        assert (await asyncio.to_thread(get, f"{address}/healthz"))[0] == 200
        await runner.cleanup()

    asyncio.run(main())
