"""Logs as JSON: every line of every process is an object."""

from __future__ import annotations

import json
import logging
import sys

from streams.process.logs import JsonFormatter


def test_an_exception_stays_in_its_line() -> None:
    try:
        raise ValueError("so\nand so")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "no %s\nhere", ("luck",), sys.exc_info())
    (line,) = JsonFormatter("worker").format(record).splitlines()
    content = json.loads(line)
    assert content["message"] == "no luck\nhere"
    assert content["exception"].startswith("Traceback (most recent call last):")
    assert content["exception"].endswith("ValueError: so\nand so")
