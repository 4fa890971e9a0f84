"""A Kafka that a test has for itself, as tests/streams has it."""

from __future__ import annotations

from tests.streams.conftest import kafka, wires

__all__ = ["kafka", "wires"]
