"""The errors of the doors; the message of each says what, where and what to do.

    DoorError
      ├─ OpenDoor
      ├─ TokensUnusable
      ├─ HostsUnusable
      └─ CallError
           ├─ AddressRefused
           ├─ NotInTime
           ├─ NoAnswer
           └─ AnswerRefused

`Refused` is what a request is answered with, and is no error of ours.
"""

from __future__ import annotations

from collections.abc import Mapping


class DoorError(Exception):
    """The base of all errors of the doors; print the message and stop."""


class OpenDoor(DoorError):
    """A process would listen where others reach it, and no token is set: set one, or listen on loopback."""


class TokensUnusable(DoorError):
    """A token, or a hash of one, cannot be read: correct the setting that the message names."""


class HostsUnusable(DoorError):
    """A list of hosts cannot be read: correct the setting that the message names."""


class CallError(DoorError):
    """Another process was not called, or not successfully; see the subclasses."""


class AddressRefused(CallError):
    """The address is none that may be called: allow it by ALSOBOUGHT_WORKER_HOSTS, or find who wrote it."""


class NotInTime(CallError):
    """The other process took too long: look at its log."""


class NoAnswer(CallError):
    """The other process cannot be reached: see whether it runs."""


class AnswerRefused(CallError):
    """The answer is too large, or sends the caller elsewhere: find out what answers at this address."""


class Refused(Exception):
    """A request that is not answered.

    Attributes
    ----------
    status
        The HTTP status.
    what, where, what_to_do
        Sentences for the one who asked; `where` names the part of the request.
    headers
        Headers of the answer.
    """

    def __init__(
        self, status: int, what: str, *, where: str, what_to_do: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{what} ({where}): {what_to_do}")
        self.status = status
        self.what, self.where, self.what_to_do = what, where, what_to_do
        self.headers = dict(headers or {})
