"""`token`: make tokens for the API and for the queries of workers and recommenders."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from alsobought.options import CommandError
from alsobought.saying import say
from streams.doors.tokens import (
    RIGHTS,
    Known,
    is_name,
    known,
    looks_like_a_token,
    make_token,
    read_file,
    read_known,
)

Right = StrEnum("Right", {word: word for word in RIGHTS})  # type: ignore[misc]


def make(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets it: the name in logs.")],
    right: Annotated[
        Right, typer.Option("--right", help="What it allows; each includes those before.")
    ] = Right.read,  # type: ignore[attr-defined]
    hashes: Annotated[
        Path | None,
        typer.Option("--hashes", metavar="FILE", help="Add the hash to this ALSOBOUGHT_TOKENS_FILE."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Write the token to this file, for its owner alone."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the token that the file of --to has already.")
    ] = False,
) -> None:
    """Make a token: what a shop's programs, the page and our own processes show to be answered.

    Prints the token, which cannot be had again, and on standard error the entry for ALSOBOUGHT_TOKENS, which
    holds its hash. A process takes a changed file when it starts.
    """
    if not is_name(name):
        raise CommandError(f"NAME is {name!r}, but must have 1 to 64 letters, digits, dots, _ or -.")
    if keep and (to is None or hashes is None):
        raise CommandError("--keep looks into the files of --to and --hashes: name both.")
    there = {one.name: one for one in _entries(hashes)}
    token = _token_in(to) if keep and to is not None and to.exists() else make_token()
    made = known(name, RIGHTS[right], token)
    if keep and there.get(name) == made:
        say(f"{to} and {hashes} have the token {name} already")
        return
    if name in there:
        raise CommandError(
            f"{hashes} has another token {name} already: choose another name, or remove its line."
        )
    try:
        if to is not None and not (keep and to.exists()):
            _write_secret(to, token)
        if hashes is not None:
            with hashes.open("a", encoding="utf-8") as file:
                file.write(f"{made.line}\n")
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be written: {error.strerror}.") from error
    if to is None:
        typer.echo(token)
    say(f"ALSOBOUGHT_TOKENS={made.line}")


def _token_in(file: Path) -> str:
    token = read_file(file, "--to").strip()
    if not looks_like_a_token(token):
        raise CommandError(f"{file} holds no token: remove the file, and make one.")
    return token


def _entries(hashes: Path | None) -> list[Known]:
    if hashes is None or not hashes.exists():
        return []
    return read_known(read_file(hashes, "--hashes"), f"--hashes {hashes}")


def _write_secret(path: Path, token: str) -> None:
    """Write a new file that nobody else can read; raises OSError if there is one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{token}\n")
