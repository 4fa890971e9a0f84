"""Logs as JSON, one object in a line, for programs that collect them.

time       of the event, in UTC, with milliseconds
level      debug, info, warning, error or critical
logger     the name of what wrote it
role       worker, recommender, server, ...
pid        the process
message    the text
exception  the traceback, where there is one
"""

from __future__ import annotations

import logging
import logging.config
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import msgspec

log = logging.getLogger("alsobought")


class JsonFormatter(logging.Formatter):
    """Formats a log record as a JSON object."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, in a line."""
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "logger": record.name, "role": self._role,
            "pid": record.process, "message": record.getMessage(),
        }  # fmt: skip
        if record.exc_info and record.exc_info[0] is not None:
            content["exception"] = self.formatException(record.exc_info)
        elif record.stack_info:
            content["exception"] = self.formatStack(record.stack_info)
        return msgspec.json.encode(content).decode()


def json_config(role: str, level: str) -> dict[str, Any]:
    """Return the configuration of logging, for `logging.config.dictConfig`: JSON on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter, "role": role}},
        "handlers": {
            "json": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
        },
        "root": {"level": level.upper(), "handlers": ["json"]},
    }


def write_json(role: str, level: str) -> None:
    """Write all logs of this process as JSON, an exception that ends it included."""
    logging.config.dictConfig(json_config(role, level))
    sys.excepthook = _log_uncaught


def is_json() -> bool:
    """Return whether this process writes its logs as JSON."""
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.root.handlers)


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    log.critical("the process ends: %s", error, exc_info=(kind, error, traceback))
