"""What events do to histories. It stands apart from the columns, so that reading a topic needs no kernels."""

from __future__ import annotations

from enum import IntEnum


class Action(IntEnum):
    """What an event does to a customer's history."""

    PURCHASE = 0
    RETURN = 1
    FORGET = 2
