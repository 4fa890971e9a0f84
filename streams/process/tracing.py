"""Whether spans are made from an event to its lists: if the setting says so, and the extra is installed.

Nothing of OpenTelemetry is imported otherwise.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from streams.settings import Settings

if TYPE_CHECKING:
    from streams.process.traces import Traces

PACKAGES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


class TracesMissing(Exception):
    """The setting asks for traces, and the extra is not installed: install it, or remove the setting."""


def require_traces(settings: Settings) -> None:
    """Raise TracesMissing if the settings ask for traces and the packages for them are not installed."""
    if settings.trace_ratio is not None and not all(map(_installed, PACKAGES)):
        raise TracesMissing(
            "ALSOBOUGHT_TRACE_RATIO asks for traces, and OpenTelemetry is not installed: install it with"
            " pip install 'alsobought[traces]', or remove the setting"
        )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package that it is in
        return False


def traces_of(settings: Settings) -> Traces | None:
    """Return what makes spans, or None if the settings do not ask for traces.

    Raises
    ------
    TracesMissing
        The extra is not installed.
    """
    if settings.trace_ratio is None:
        return None
    require_traces(settings)
    from streams.process.traces import to_collector

    return to_collector(settings.trace_ratio, verbose=settings.log_level == "debug")
