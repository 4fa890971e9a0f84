"""A whole system that all tests of this folder look at: Kafka, a worker, a recommender and the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.serving.conftest import get

if TYPE_CHECKING:
    from streams.broker.embedded import EmbeddedKafka
    from tests.streams.pipeline import Wires, Worker

CUSTOMERS, ITEMS, EVENTS, REFUSED = 40, 30, 400, 3


@dataclass
class System:
    """What runs; `addresses` are those of the worker, the recommender and the server by these names."""

    bootstrap: str
    home: Path
    wires: Wires
    processes: dict[str, Worker]
    addresses: dict[str, str]

    def asked(self, who: str, path: str) -> tuple[int, dict[str, object]]:
        """Status and JSON of an answer."""
        status, body, _ = get(self.addresses[who] + path)
        return status, msgspec.json.decode(body)


@pytest.fixture(scope="session")
def system(
    new_kafka: Callable[[], EmbeddedKafka], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    from serving.server import Server, ServerThread
    from streams.kinds import LISTED
    from streams.messages.schema import REPORTED
    from streams.topics import PURCHASES
    from tests.events import purchases
    from tests.streams.pipeline import Recommender, Wires, Worker, until
    from tests.streams.test_pipeline import keyed

    bootstrap, home = new_kafka().bootstrap, tmp_path_factory.mktemp("system")
    wires = Wires(bootstrap)
    more = {"checkpoint_url": str(home / "checkpoints"), "log_format": "json"}
    processes: dict[str, Worker] = {
        "worker": Worker(bootstrap, home / "data", **more),
        "recommender": Recommender(bootstrap, home / "data", **more),
    }
    page = ServerThread(Server(bootstrap, LISTED, "127.0.0.1", 0))
    system = System(bootstrap, home, wires, processes, {"server": page.start()})
    try:
        wires.publish(PURCHASES.name, keyed(purchases(7, CUSTOMERS, ITEMS, EVENTS)))
        wires.publish(PURCHASES.name, [(b"ann", b"rubbish")] * REFUSED)
        wires.drain()
        served = {f"{REPORTED}{PURCHASES.name}-{p}": end for p, end in wires.ends(PURCHASES.name).items()}
        until(lambda: wires.reached("recommended", served), "recommendations")
        system.addresses["worker"] = wires.tasks[f"{PURCHASES.name}-0"].worker
        system.addresses["recommender"] = wires.tasks[f"{REPORTED}{PURCHASES.name}-0"].worker
        yield system
    finally:
        page.stop()
        wires.close()
        for process in processes.values():
            process.stop()
