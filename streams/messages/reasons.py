"""Classes of the reasons why records are refused: a dead letter has the sentence, a metric its class."""

from __future__ import annotations

import re

CLASSES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("json", re.compile(r"not the JSON expected")),
    ("value", re.compile(r"null value|value has \d+ bytes")),
    ("key", re.compile(r"the record('s key| has)")),
    ("time", re.compile(r"timestamp ")),
    ("quantity", re.compile(r"quantity ")),
    ("type", re.compile(r"type ")),
    ("source", re.compile(r"(source|sequence) ")),
    ("id", re.compile(r"\w+_id ")),
    ("return", re.compile(r"return of more")),
    ("limit", re.compile(r"limit of ")),
    ("batch", re.compile(r"a batch of records")),
    ("foreign", re.compile(r"not a [\w-]+ message")),
)
OTHER = "other"


def class_of(reason: str) -> str:
    """Return the class of a reason.

    >>> class_of("quantity 0 is not between 1 and 1,000,000"), class_of("customer_id is missing or empty")
    ('quantity', 'id')
    """
    return next((name for name, pattern in CLASSES if pattern.match(reason)), OTHER)
