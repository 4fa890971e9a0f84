"""JSON lines: an object a line, UTF-8; blank lines are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from alsobought.sources.errors import SourceError
from alsobought.sources.lines import Lines
from alsobought.sources.table import Position, Refuse, RowBatch, Table
from alsobought.sources.values import not_utf8

_decode = msgspec.json.Decoder(dict[str, object]).decode


class JsonReader:
    """One pass over JSON lines."""

    def __init__(self, lines: Lines, table: Table) -> None:
        self._lines = lines
        self._table = table

    @property
    def position(self) -> Position:
        """How many bytes have been read."""
        return self._lines.position

    def batches(self, refuse: Refuse) -> Iterator[RowBatch]:
        """Yield the rows of each chunk; lines that are no object are refused."""
        try:
            if self._lines.first_character() == b"[":
                raise SourceError(
                    f"{self._lines.name} is one JSON array; what is read is an object a line."
                    " Convert it: jq -c '.[]' FILE > FILE.jsonl"
                )
            number = 0
            checked = False
            for chunk in self._lines.chunks():
                numbers: list[int] = []
                rows: list[dict[str, object]] = []
                for line in chunk:
                    number += 1
                    if line.isspace():
                        continue
                    try:
                        rows.append(_decode(line))
                    except msgspec.DecodeError as error:
                        refuse(number, f"not a JSON object: {error}")
                    except RecursionError:
                        refuse(number, "not a JSON object: nested too deeply")
                    except UnicodeDecodeError:
                        refuse(number, not_utf8("the line", line.decode("utf-8", "surrogateescape")))
                    else:
                        numbers.append(number)
                if not rows:
                    continue
                if not checked:
                    self._table.check(self._lines.name, dict.fromkeys(name for row in rows for name in row))
                    checked = True
                yield RowBatch(
                    numbers, {name: [row.get(name) for row in rows] for name in self._table.columns}
                )
        finally:
            self._lines.close()
