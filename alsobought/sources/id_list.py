"""Lists of ids: text, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alsobought.sources.errors import SourceError
from alsobought.sources.opening import lines_of


def read_ids(name: str) -> Iterator[str]:
    """Yield the ids in a file, a pipe or - (standard input); empty lines are left out.

    Raises
    ------
    SourceError
        It cannot be read, or a line is not UTF-8.
    """
    number = 0
    for chunk in lines_of(Path(name)).chunks():
        for line in chunk:
            number += 1
            try:
                found = line.rstrip(b"\r\n").decode()
            except UnicodeDecodeError:
                raise SourceError(
                    f"{name}:{number}: {line[:40]!r} is not UTF-8. Save the file as UTF-8, for example with"
                    " iconv -f WINDOWS-1252 -t UTF-8."
                ) from None
            if found.strip():
                yield found
