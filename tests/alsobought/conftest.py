"""This fixture gives a test a Kafka of its own, as tests/streams does."""

from __future__ import annotations

from tests.streams.conftest import kafka, wires

__all__ = ["kafka", "wires"]
