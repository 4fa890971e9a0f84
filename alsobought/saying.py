"""What commands say to their user beside their results."""

from __future__ import annotations

import logging

import typer

from streams.process.logs import is_json

log = logging.getLogger("alsobought")


def say(text: str) -> None:
    """Write a message to the user on standard error, as this process writes its logs."""
    if is_json():
        log.info(text)
    else:
        typer.echo(text, err=True)


def wants_token(address: str) -> str:
    """Return what is said of a page that wants a token."""
    return f"The page wants a token: open {address}/#token=TOKEN; the API: `Authorization: Bearer TOKEN`."
