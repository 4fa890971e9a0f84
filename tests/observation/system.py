"""A whole system to look at: Kafka, a worker, a recommender and the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from alsobought.cli import app
from serving.server import Server, ServerThread
from streams.connections.bootstrap import Bootstrap
from streams.kinds import LISTED
from streams.messages.schema import REPORTED
from streams.topics import PURCHASES
from tests.events import purchases
from tests.serving.conftest import get
from tests.streams.pipeline import Recommender, Wires, Worker, until
from tests.streams.test_pipeline import keyed

CUSTOMERS, ITEMS, EVENTS, REFUSED = 40, 30, 400, 3


@dataclass
class System:
    """What runs; `addresses` are those of the worker, the recommender and the server by these names."""

    bootstrap: Bootstrap
    home: Path
    wires: Wires
    processes: dict[str, Worker]
    addresses: dict[str, str]

    def asked(self, who: str, path: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        status, body, _ = get(self.addresses[who] + path)
        return status, msgspec.json.decode(body)

    def metrics(self, who: str) -> dict[str, Metric]:
        """The metrics of a process as Prometheus reads them, by name."""
        status, body, headers = get(f"{self.addresses[who]}/metrics")
        assert status == 200
        assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return {family.name: family for family in text_string_to_metric_families(body.decode())}

    def command(self, *words: str) -> Result:
        """The result of a command of `alsobought` with this Kafka."""
        settings = {"ALSOBOUGHT_CHECKPOINT_URL": str(self.home / "checkpoints")}
        return CliRunner(env=settings).invoke(app, [*words, "--kafka", self.bootstrap.servers])

    def status(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Processes by role, and tasks by name, as `status --json` has them."""
        result = self.command("status", "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert found["kafka"] == self.bootstrap.servers
        return {one["role"]: one for one in found["processes"]}, {one["task"]: one for one in found["tasks"]}

    def findings(self) -> list[tuple[str, str, str]]:
        """What `doctor --json` finds: what it is about, how bad it is, and the text."""
        result = self.command("doctor", "--json")
        found = json.loads(result.stdout)
        assert result.exit_code == any(one["level"] == "error" for one in found)
        return [(one["about"], one["level"], one["what"] + one["what_to_do"]) for one in found]

    def stop(self) -> None:
        """Stop the worker and the recommender."""
        for process in self.processes.values():
            if process.process.poll() is None:
                process.stop()


def objects(file: Path) -> list[dict[str, Any]]:
    """The lines of a log, each of which is an object."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def sample(found: dict[str, Metric], name: str, **labels: str) -> float:
    """The sum of the samples of a name that have these labels."""
    values = [
        one.value
        for family in found.values()
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    ]
    assert values, f"{name} has no sample with {labels}"
    return sum(values)


@contextmanager
def running(bootstrap: Bootstrap, home: Path) -> Iterator[System]:
    """Run it on a Kafka with all topics; some purchases are counted, and some records refused."""
    wires = Wires(bootstrap)
    more = {"checkpoint_url": str(home / "checkpoints"), "checkpoint_ms": "1000", "log_format": "json"}
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
        system.stop()
