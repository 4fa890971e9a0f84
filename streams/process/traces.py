"""Makes spans, and sends them to a collector by OTLP over HTTP. It is imported only if traces are asked for.

Where the collector is, what it is told of this process and how much may wait for it are OpenTelemetry's own
variables (docs/guide/operating.md). Whether an event is traced is decided here and not by its samplers: if
its producer has sampled it, and a ratio of those whose producers say nothing.
"""

from __future__ import annotations

import logging
import os
import random
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

log = logging.getLogger("alsobought")

HEADER = "traceparent"
"""The header of records, and its value, are those of W3C Trace Context."""

HEADER_BYTES, UNSAMPLED = 55, b"-00"

CLOSE_S = 3.0
MS = 1_000_000  # in ns
_FORMAT = TraceContextTextMapPropagator()
_CREDENTIALS = re.compile("//[^/]*@")


class Parent(NamedTuple):
    """What a record says of its trace.

    Attributes
    ----------
    known
        Whether it names a trace at all.
    context
        The context to continue, None if the record is not sampled.
    """

    known: bool
    context: Context | None


class Traces:
    """Makes the spans of a process.

    Parameters
    ----------
    ratio
        The share (0 to 1) that is traced of the events whose producers say nothing of a trace.
    exporter
        What takes the spans, in batches.
    """

    def __init__(self, ratio: float, exporter: SpanExporter) -> None:
        self._ratio = ratio
        ours = {
            "service.name": "alsobought-worker",
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
        named = ours | dict(OTELResourceDetector().detect().attributes)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create(named), shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("alsobought")

    @staticmethod
    def parent_of(value: bytes | None) -> Parent:
        """Return what a header says; one that is not of the format says nothing."""
        if value is not None and len(value) == HEADER_BYTES and value.endswith(UNSAMPLED):
            # so are most records where few are sampled: parsing takes 15 times as long
            return Parent(True, None)
        context = _FORMAT.extract({HEADER: (value or b"").decode("ascii", "replace")}, Context())
        found = trace.get_current_span(context).get_span_context()
        return Parent(found.is_valid, context if found.is_valid and found.trace_flags.sampled else None)

    @staticmethod
    def header_of(span: Span) -> bytes:
        """Return the header of a record that follows from what a span is of."""
        carrier: dict[str, str] = {}
        _FORMAT.inject(carrier, trace.set_span_in_context(span, Context()))
        return carrier[HEADER].encode()

    @staticmethod
    def failed(span: Span, reason: str) -> None:
        """Note that what a span is of did not succeed."""
        span.set_status(Status(StatusCode.ERROR, reason))

    @property
    def draws(self) -> bool:
        """Whether events may be traced whose producers say nothing of it."""
        return self._ratio > 0

    def drawn(self) -> bool:
        """Return whether the next event whose producer says nothing is traced."""
        return random.random() < self._ratio

    def start(
        self, name: str, parent: Context | None, start_ms: int, attributes: Mapping[str, str | int]
    ) -> Span:
        """Return a span that began at `start_ms` (since 1970); without a parent it begins a trace."""
        return self._tracer.start_span(
            name, parent or Context(), SpanKind.CONSUMER, attributes, start_time=start_ms * MS
        )

    def close(self) -> None:
        """Send what waits, for `CLOSE_S` at most."""
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_S)
        if closing.is_alive():
            log.warning(
                "traces: the newest spans are lost: %s did not take them in %g s", collector(), CLOSE_S
            )


def collector() -> str:
    """Return how the collector is named in messages."""
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if address := os.environ.get(name, "").strip():
            return f"the collector at {_CREDENTIALS.sub('//', address)} ({name})"
    return "the collector at http://localhost:4318 (set OTEL_EXPORTER_OTLP_ENDPOINT)"


def to_collector(ratio: float, *, verbose: bool) -> Traces:
    """Return what makes spans for the collector that OpenTelemetry's variables name.

    `verbose` says whether OpenTelemetry's own messages are logged, each failed attempt among them.
    """
    traces = Traces(ratio, _Sending(OTLPSpanExporter()))
    # now that it has said which variables it cannot use; `_Sending` says once what these say at each attempt
    if not verbose:
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        logging.getLogger("opentelemetry.sdk").setLevel(logging.ERROR)
    return traces


class _Sending(SpanExporter):
    """Sends batches of spans, and says once that the collector does not take them."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; what the collector does not take is dropped."""
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS and not self._away:
            self._away = True
            log.warning("traces: %s takes no spans; until it does they are dropped", collector())
        elif result is SpanExportResult.SUCCESS and self._away:
            self._away = False
            log.info("traces: %s takes spans again", collector())
        return result

    def shutdown(self) -> None:
        """End, also in the middle of a wait for the collector."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits in the exporter, which keeps nothing."""
        return self._exporter.force_flush(timeout_millis)
