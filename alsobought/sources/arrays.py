"""Arrow arrays from numpy's and back, and the bytes of texts.

pyarrow's own conversions from and to numpy, and from str, load pandas (0.2 seconds), hence these.
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array: TypeAlias = "pa.Array[Any]"
Mask = npt.NDArray[np.bool_]

_as_buffer = cast(Any, pa.py_buffer)


def no_values(count: int, kind: pa.DataType) -> Array:
    """Return `count` nulls of a type."""
    found: Array = pa.nulls(count, cast(Any, kind))
    return found


def with_nulls(values: Array, empty: Mask) -> Array:
    """Return the values, null where `empty`."""
    if not empty.any():
        return values
    null: Any = no_values(1, values.type)[0]
    filled: Array = pc.if_else(_bit_array(empty), null, values)
    return filled


def nulls(column: Array) -> Mask:
    """Return which cells are null."""
    if not column.null_count:
        return np.zeros(len(column), np.bool_)
    return bits(column.is_null())


def empties(column: Array) -> Mask:
    """Return which cells are null or the empty text."""
    empty = nulls(column)
    if pa.types.is_string(column.type):
        empty |= lengths(column) == 0
    return empty


def ones(count: int) -> Array:
    """Return `count` ones."""
    return array(np.ones(count, np.int64))


def array(numbers: npt.NDArray[Any], missing: Mask | None = None) -> Array:
    """Return int64 or float64 numbers as an Arrow array, null where `missing`."""
    kind = pa.float64() if numbers.dtype == np.float64 else pa.int64()
    packed = None if missing is None else _as_buffer(np.packbits(~missing, bitorder="little"))
    values = _as_buffer(np.ascontiguousarray(numbers))
    return pa.Array.from_buffers(kind, len(numbers), [packed, values])


def text(value: str) -> Any:
    """Return a text as an Arrow scalar."""
    encoded = value.encode()
    offsets = _as_buffer(np.array([0, len(encoded)], np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, offsets, _as_buffer(encoded)])[0]


def _bit_array(mask: Mask) -> Array:
    packed = _as_buffer(np.packbits(mask, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(mask), [None, packed])


def integers(column: Array | pa.ChunkedArray[Any]) -> npt.NDArray[np.int64]:
    """Return an integer array as numpy's; the values of nulls are undefined."""
    if isinstance(column, pa.ChunkedArray):
        return np.concatenate([np.zeros(0, np.int64), *map(integers, column.chunks)])
    found: npt.NDArray[np.int64] = _buffer(column.cast(pa.int64(), safe=False), np.int64)
    return found


def floats(column: Array) -> npt.NDArray[np.float64]:
    """Return a numeric array as numpy's; the values of nulls are undefined."""
    found: npt.NDArray[np.float64] = _buffer(column.cast(pa.float64(), safe=False), np.float64)
    return found


def bits(column: Array) -> Mask:
    """Return a boolean array without nulls as numpy's."""
    return _buffer(column.cast(pa.uint8()), np.uint8).view(np.bool_)


def offsets_of(column: Array) -> npt.NDArray[np.int32]:
    """Return where each text of a string array begins in `bytes_of`, and where the last ends."""
    buffer: Any = column.buffers()[1]
    if not len(column) or buffer is None:
        return np.zeros(1, np.int32)
    bounds = np.frombuffer(buffer, np.int32)[column.offset : column.offset + len(column) + 1]
    offsets: npt.NDArray[np.int32] = bounds - bounds[0]
    return offsets


def bytes_of(column: Array) -> npt.NDArray[np.uint8]:
    """Return the texts of a string array, one after the other."""
    buffers: list[Any] = column.buffers()
    if not len(column) or any(buffer is None for buffer in buffers[1:]):
        return np.zeros(0, np.uint8)
    bounds = np.frombuffer(buffers[1], np.int32)
    return np.frombuffer(buffers[2], np.uint8)[bounds[column.offset] : bounds[column.offset + len(column)]]


def lengths(column: Array) -> npt.NDArray[np.int32]:
    """Return the bytes of each text of a string array."""
    return np.diff(offsets_of(column))


def matches(column: Array, pattern: str) -> Mask:
    """Return which texts have a match of a regular expression; null has none."""
    found: Any = pc.match_substring_regex(column, pattern)
    return bits(found.fill_null(False))


def _buffer(column: Array, kind: Any) -> npt.NDArray[Any]:
    if not len(column):
        return np.zeros(0, kind)
    buffer: Any = column.buffers()[1]
    return np.frombuffer(buffer, kind)[column.offset : column.offset + len(column)]
