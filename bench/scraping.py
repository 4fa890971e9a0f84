"""Reads what running processes have measured themselves, from the metrics that they show Prometheus."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 10.0


def total(addresses: Iterable[str], sample: str) -> float:
    """Return the sum of all samples of this name over processes, given the addresses of their queries."""
    found = 0.0
    for address in addresses:
        with urlopen(f"{address}/metrics", timeout=TIMEOUT_S) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            found += sum(one.value for family in families for one in family.samples if one.name == sample)
    return found
