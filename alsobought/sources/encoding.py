"""Convert batches of events to keys and values of Kafka records: the JSON of a whole batch, column by column.

A message is what msgspec makes of the same EventMessage, except for the order of optional fields and the
digits of prices; fields at their default are left out.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alsobought.sources.arrays import Array, array, bytes_of, integers, text, with_nulls

_encode_text = msgspec.json.Encoder().encode


def records_of(
    batch: pa.RecordBatch, source: str | None = None, first_sequence: int = 0
) -> list[tuple[bytes, bytes]]:
    """Return keys and values, in the batch's order.

    Parameters
    ----------
    batch
        A batch of `events.SCHEMA`.
    source
        The source that every event names; the sequences then count from `first_sequence`. None: events have
        neither.
    """
    count = batch.num_rows
    if not count:
        return []
    column = batch.column
    parts: list[Any] = [
        '{"customer_id":"', _escaped(column("customer_id")),
        '","item_id":"', _escaped(column("item_id")),
        '","timestamp":', _text(column("timestamp")),
    ]  # fmt: skip
    quantity = column("quantity")
    parts += _optional("quantity", with_nulls(quantity, integers(quantity) == 1), "")
    for name in ("type", "event_id", "basket_id", "profile_id"):
        parts += _optional(name, column(name), '"')
    parts += _optional("price", column("price"), "")
    if source is not None:
        sequences = array(np.arange(first_sequence, first_sequence + count))
        parts += [f',"source":{_encode_text(source).decode()},"sequence":', _text(sequences)]
    parts.append("}")
    values = _joined(parts)
    keys: Any = column("customer_id")
    return list(zip(keys.cast(pa.binary()).to_pylist(), values.cast(pa.binary()).to_pylist(), strict=True))


def _optional(name: str, values: Array, quote: str) -> list[Any]:
    """Return the parts of a field that is left out where it is null."""
    if values.null_count == len(values):
        return []
    content = _escaped(values) if pa.types.is_string(values.type) else _text(values)
    if not values.null_count:
        return [f',"{name}":{quote}', content, quote]
    field = _joined([f',"{name}":{quote}', content, quote])
    return [field.fill_null(text(""))]


def _joined(parts: list[Any]) -> Any:
    """Return texts, and columns of texts, joined in each row."""
    # Every part costs, so what is the same in each row and stands together is one.
    joined: list[Any] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return pc.binary_join_element_wise(
        *(text(part) if isinstance(part, str) else part for part in joined), text("")
    )


def _text(values: Array) -> Array:
    return values.cast(pa.string())


def _escaped(column: Array) -> Array:
    """Return texts as they stand between the quotes of JSON."""
    written = bytes_of(column)
    if not bool(((written < 0x20) | (written == ord('"')) | (written == ord("\\"))).any()):
        return column
    cells = column.to_pylist()
    return pa.array(
        [None if cell is None else _encode_text(cell)[1:-1].decode() for cell in cells], pa.string()
    )
