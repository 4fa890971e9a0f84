"""Identify a file by a hash of its content, so that publishing it again is noticed.

The hash is XXH3 (Y. Collet), some gigabytes a second; 48 bits of it distinguish files.
"""

from __future__ import annotations

import xxhash

from alsobought.sources.lines import open_file

CHUNK_BYTES = 4 << 20
DIGITS = 12
_RULES = 1
"""Goes up when the same file is read or ordered in another way: sequences then mean other events."""


def content_id(path: str, kind: str, *, in_order: bool) -> str:
    """Return the id of a file's content as events of a kind, sent in order of time or as they are.

    Raises SourceError if the file cannot be opened.
    """
    state = xxhash.xxh3_128(f"{_RULES} {kind} {in_order} ".encode())
    with open_file(path) as file:
        while chunk := file.read(CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()[:DIGITS]


def text_id(text: str) -> str:
    """Return an id, as `content_id` does, of something that a text describes in full."""
    return xxhash.xxh3_128(f"{_RULES} {text}".encode()).hexdigest()[:DIGITS]
