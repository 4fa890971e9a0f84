"""The errors of questions, which are answered as JSON: what is wrong, where, and what to do."""

from __future__ import annotations


class ApiError(Exception):
    """A question that cannot be answered.

    Attributes
    ----------
    status
        The HTTP status.
    what, where, what_to_do
        Sentences for the one who asked; `where` names the parameter or the part of the system.
    """

    def __init__(self, status: int, what: str, *, where: str, what_to_do: str) -> None:
        super().__init__(f"{what} ({where}): {what_to_do}")
        self.status = status
        self.what, self.where, self.what_to_do = what, where, what_to_do


def bad(where: str, what: str, what_to_do: str) -> ApiError:
    """Return the error of a parameter that cannot be used."""
    return ApiError(400, what, where=f"parameter {where}", what_to_do=what_to_do)
