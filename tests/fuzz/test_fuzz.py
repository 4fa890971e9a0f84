"""Damaged inputs are refused as documented by every decoder, and valid ones are taken in.

`make fuzz` runs the same for as long as one likes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import http
from tests.fuzz.decoders import DECODERS, INPUTS, kept

SHORT = settings(
    max_examples=40, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
REFUSALS = (
    "not a ",
    "dead letter",
    "ignored",
    "Corrupt",
    "Unknown",
    "it is no model",
    "manifest is damaged",
    "status 4",
)


@pytest.fixture(scope="module", autouse=True)
def service() -> Iterator[None]:
    """Stop the service that requests are sent to, if it was started."""
    yield
    if http.service.cache_info().currsize:
        http.service().stop()
        http.service.cache_clear()


@pytest.mark.parametrize("name", DECODERS)
def test_valid_inputs_are_taken_in(name: str) -> None:
    decoder = DECODERS[name]
    outcomes = [decoder.take(raw) for raw in decoder.examples()]
    refused = [outcome for outcome in outcomes if outcome.startswith(REFUSALS)]
    assert len(refused) <= len(outcomes) // 2, refused
    if name in (
        "events",
        "catalogue",
        "pair-deltas",
        "first-events",
        "records",
        "manifests",
        "models",
        "learnt",
    ):
        assert not refused, refused


@pytest.mark.parametrize("name", DECODERS)
def test_damaged_inputs_are_refused_as_documented(name: str) -> None:
    decoder = DECODERS[name]

    @SHORT
    @given(decoder.strategy)
    def check(raw: bytes) -> None:
        decoder.take(raw)

    check()


@pytest.mark.parametrize(
    ("name", "file"), [pytest.param(path.parent.name, path.name) for path in sorted(INPUTS.glob("*/*.bin"))]
)
def test_what_once_found_a_fault_is_refused_as_documented(name: str, file: str) -> None:
    DECODERS[name].take((INPUTS / name / file).read_bytes())


def test_every_kept_input_belongs_to_a_decoder() -> None:
    assert sum(len(kept(name)) for name in DECODERS) == len(list(INPUTS.rglob("*.bin")))


def test_what_is_no_http_is_refused_without_a_stack_trace(caplog: pytest.LogCaptureFixture) -> None:
    assert http.take_request(b"GET /\xff\x00 HTTP/1.1\r\nHost: 127.0.0.1") == "status 400"
    assert not [record for record in caplog.records if record.name == "aiohttp.server"]
