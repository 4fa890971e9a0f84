"""Tokens: 256 random bits each, of which a server knows only the SHA-256.

    alsobought-<43 characters>                  the token, which its owner keeps
    NAME:RIGHT:<64 hexadecimal digits>          what the server is told

A guess has no better chance than one in 2^256, so that neither salt nor a slow hash would add anything (they
are for passwords, which people choose). What does not look like a token is refused, whatever hash is set.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from streams.doors.errors import TokensUnusable
from streams.doors.rights import Right

PREFIX = "alsobought-"
RIGHTS = {right.word: right for right in Right if right is not Right.NONE}
_TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


class Known(NamedTuple):
    """A token as a server knows it.

    Attributes
    ----------
    name : str
        Who has it; what the log calls its owner.
    digest : bytes
        32 bytes, the SHA-256 of the token.
    """

    name: str
    right: Right
    digest: bytes

    @property
    def line(self) -> str:
        """The token as settings and files have it."""
        return f"{self.name}:{self.right.word}:{self.digest.hex()}"


def make_token() -> str:
    """Return a new token."""
    return PREFIX + secrets.token_urlsafe(32)


def known(name: str, right: Right, token: str) -> Known:
    """Return what a server must know of a token."""
    return Known(name, right, hashlib.sha256(token.encode()).digest())


def is_name(text: str) -> bool:
    """Return whether a token may have this name."""
    return _NAME.fullmatch(text) is not None


def looks_like_a_token(text: str) -> bool:
    """Return whether a text has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def read_known(text: str, where: str) -> list[Known]:
    """Return the tokens of a setting or a file: separated by commas or lines; lines of # are comments.

    Raises
    ------
    TokensUnusable
        One is not NAME:RIGHT:HASH, or a name is there twice.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    found: dict[str, Known] = {}
    for number, entry in enumerate(entries, 1):
        name, _, rest = entry.partition(":")
        word, _, digest = rest.partition(":")
        # the entry itself may be a token by mistake, and is not repeated
        trouble = (
            "its name must have 1 to 64 letters, digits, dots, _ or -, and a colon after it"
            if not _NAME.fullmatch(name) or not rest
            else f"its right must be one of {', '.join(RIGHTS)}"
            if word not in RIGHTS
            else "its hash must have 64 hexadecimal digits"
            if not _HASH.fullmatch(digest)
            else f"the name {name} is there twice"
            if name in found
            else ""
        )
        if trouble:
            raise TokensUnusable(
                f"entry {number} of {where} is not NAME:RIGHT:HASH: {trouble}. Make one with"
                " `alsobought token make NAME --right read`."
            )
        found[name] = Known(name, RIGHTS[word], bytes.fromhex(digest))
    return list(found.values())


def read_file(path: Path, setting: str) -> str:
    """Return what is in a file that a setting names; raises TokensUnusable."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokensUnusable(f"{setting}={path} cannot be read: {error}. Correct or unset it.") from error


class Tokens:
    """The tokens that a server knows; it is false if there is none."""

    def __init__(self, some: Iterable[Known] = ()) -> None:
        self._known: Sequence[Known] = tuple(some)

    def __bool__(self) -> bool:
        return bool(self._known)

    def find(self, token: str) -> Known | None:
        """Return the token that was shown, if it is known.

        It is compared with all of them in constant time, so that the time tells nothing of a hash.
        """
        if not looks_like_a_token(token):
            return None
        digest, found = hashlib.sha256(token.encode()).digest(), None
        for one in self._known:
            if hmac.compare_digest(one.digest, digest):
                found = one
        return found
