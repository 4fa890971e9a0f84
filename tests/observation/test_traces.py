"""A purchase that its producer sampled is traced through a real worker, to a collector over HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.broker.embedded import EmbeddedKafka
from streams.broker.ports import free_port
from streams.messages.schema import EventMessage
from streams.process.tracing import TracesMissing, require_traces, traces_of
from streams.settings import Settings
from streams.tasks.customers import item_partitions
from streams.topics import PAIR_DELTAS, PURCHASES
from tests.events import START_MS
from tests.observation.collector import collector
from tests.streams.pipeline import PARTITIONS, Wires, Worker, until
from tests.streams.test_pipeline import keyed

AWAY, UNSAMPLED, SAMPLED = "tea", "oil", "bread"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def buy(wires: Wires, item: str, traceparent: str | None) -> None:
    """Publish a purchase of each of three customers, the last of them with a header."""
    events = [
        EventMessage(customer_id=customer, item_id=item, timestamp=START_MS)
        for customer in ("ann", "bob", "eve")
    ]
    for at, (key, value) in enumerate(keyed(events)):
        headers = [("traceparent", traceparent.encode())] if traceparent and at == len(events) - 1 else []
        wires.producer.send(PURCHASES.name, key=key, value=value, headers=headers)
    wires.producer.flush()


def test_a_sampled_purchase_is_one_trace_to_its_lists(
    new_kafka: Callable[[], EmbeddedKafka], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port(None, ())
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "counting")
    wires = Wires(new_kafka().bootstrap)
    worker = Worker(wires.bootstrap, tmp_path / "data", trace_ratio="0")
    try:
        # nobody listens at the port: counting goes on, and it is said once
        buy(wires, AWAY, f"00-{'a' * 32}-{SPAN}-01")
        wires.drain()
        until(lambda: "takes no spans" in worker.log.read_text(), "a warning that the collector is away")
        with collector(port) as spans:
            buy(wires, UNSAMPLED, f"00-{'b' * 32}-{SPAN}-00")
            buy(wires, SAMPLED, f"00-{TRACE}-{SPAN}-01")
            wires.drain()
            assert worker.stop() == 0  # it sends what waits
        assert worker.log.read_text().count("takes no spans") == 1
        assert "Traceback" not in worker.log.read_text()
        assert {span.service for span in spans} == {"counting"}
        found = [span for span in spans if span.trace == TRACE]
        assert found == [span for span in spans if span.trace != "a" * 32]
        counted, *listed = sorted(found, key=lambda span: span.name)
        assert counted.name == f"count {PURCHASES.name}"
        assert counted.parent == SPAN
        ours = set(item_partitions(PARTITIONS, (AWAY, UNSAMPLED, SAMPLED)).tolist())
        assert len(ours) > 1
        assert counted.attributes["alsobought.outcome"] == "new"
        assert counted.attributes["alsobought.item_partitions"] == len(ours)
        assert {span.name for span in listed} == {f"list {PAIR_DELTAS.name}"}
        assert {span.parent for span in listed} == {counted.span}
        partitions = [span.attributes["messaging.destination.partition.id"] for span in listed]
        assert sorted(partitions) == sorted(map(str, ours))
        with_new = listed[partitions.index(str(item_partitions(PARTITIONS, (SAMPLED,))[0]))]
        assert with_new.attributes["alsobought.lists"] > 0
        assert all(0 <= span.seconds < 60 for span in found)
    finally:
        wires.close()
        if worker.process.poll() is None:
            worker.stop()


def test_nothing_is_traced_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.process.tracing.PACKAGES", ("no_such_package.sdk",))
    assert traces_of(Settings.model_validate({})) is None
    with pytest.raises(TracesMissing, match=r"pip install 'alsobought\[traces\]'"):
        require_traces(Settings.model_validate({"trace_ratio": 0}))


def test_a_collector_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://ann:secret@127.0.0.1:{silent.getsockname()[1]}"
        )
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "4")
        monkeypatch.setattr("streams.process.traces.CLOSE_S", 0.1)
        traces = traces_of(Settings.model_validate({"trace_ratio": 1}))
        assert traces is not None
        traces.start("count purchases", None, 1, {}).end()
        traces.close()
        assert "the newest spans are lost: the collector at http://127.0.0.1" in caplog.text
    for thread in threading.enumerate():
        if thread.name == "traces":  # what a process that ends would leave behind
            thread.join()
    assert "takes no spans" in caplog.text
    assert "secret" not in caplog.text
