"""The metrics that every process of the running system exports, as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.observation.conftest import System
from tests.serving.conftest import get


def families(system: System, who: str) -> dict[str, Metric]:
    """The metrics of the worker, the recommender or the server, by name."""
    status, body, headers = get(f"{system.addresses[who]}/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(body.decode())}


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
