"""Convert whole columns of times at once, as `columns` does ids; cells that are not sure are left to `times`.

Text is taken in groups of equal length, each as a matrix of bytes. The first row of a group shows where the
fraction and the offset are; rows that look different are not sure. The days of a date are counted as in
Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms" (days_from_civil, 2021).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alsobought.sources.arrays import Array, array, bytes_of, floats, integers, lengths, nulls, offsets_of
from alsobought.sources.columns import Column
from alsobought.sources.times import LATEST_MS, SECONDS_BELOW
from streams.messages.checks import AHEAD_MS, EARLIEST_MS

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_SHAPE = re.compile(rb"dddd-dd-dd[T ]dd:dd:dd(\.d{1,9})?( ?UTC|Z|[+-]dd:dd)?")
_UNKNOWN = -1
_MIDNIGHT = np.frombuffer(b"T00:00:00", np.uint8)
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def times(column: Array, published_ms: int) -> Column:
    """Return event times in ms since 1970 as int64, from 1990 to a day after `published_ms`."""
    found = _times(column)
    unsure = (found < EARLIEST_MS) | (found > published_ms + AHEAD_MS) | nulls(column)
    return array(np.where(unsure, 0, found)), unsure


def _times(column: Array) -> Ints:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return integers(column.cast(pa.timestamp("ms", getattr(kind, "tz", None)), safe=False))
    if pa.types.is_integer(kind):
        return _epoch(integers(column))
    if pa.types.is_floating(kind):
        return _epoch(floats(column))
    if pa.types.is_string(kind):
        return _texts(column)
    return np.full(len(column), _UNKNOWN, np.int64)


def _epoch(numbers: npt.NDArray[Any]) -> Ints:
    with np.errstate(invalid="ignore"):
        sure = (numbers >= 0) & (numbers < LATEST_MS)
    known = np.where(sure, numbers, 0)
    ms = np.where(known < SECONDS_BELOW, np.rint(known * 1000), known).astype(np.int64)
    return np.where(sure, ms, _UNKNOWN)


def _texts(column: Array) -> Ints:
    found = np.full(len(column), _UNKNOWN, np.int64)
    sizes, starts, text = lengths(column), offsets_of(column)[:-1], bytes_of(column)
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        matrix = text[starts[rows][:, None] + np.arange(size)] if len(rows) < len(sizes) else text.reshape(
            -1, size
        )  # fmt: skip
        if size == 10 and matrix[0, 4] == ord("-"):
            matrix = np.hstack([matrix, np.broadcast_to(_MIDNIGHT, (len(matrix), len(_MIDNIGHT)))])
            found[rows] = _dates(matrix)
        elif size in (10, 13):
            found[rows] = _digits(matrix)
        if size >= 19:
            found[rows] = _dates(matrix)
    return found


def _digits(matrix: Bytes) -> Ints:
    """Return the times of texts of digits alone: seconds or milliseconds."""
    sure = _are_digits(matrix).all(axis=1)
    return np.where(sure, _epoch(_number(matrix)), _UNKNOWN)


def _dates(matrix: Bytes) -> Ints:
    """Return the times of texts like 2026-01-31T12:00:00, with the fraction and the offset of the first."""
    digits = _are_digits(matrix)
    first = np.where(digits[0], np.uint8(ord("d")), matrix[0]).tobytes()
    shape = _SHAPE.fullmatch(first)
    if shape is None:
        return np.full(len(matrix), _UNKNOWN, np.int64)
    template = np.frombuffer(first, np.uint8)
    places = template == ord("d")
    sure = digits[:, places].all(axis=1) & (matrix[:, ~places] == template[~places]).all(axis=1)
    year, month, day = _number(matrix[:, :4]), _number(matrix[:, 5:7]), _number(matrix[:, 8:10])
    hour, minute, second = _number(matrix[:, 11:13]), _number(matrix[:, 14:16]), _number(matrix[:, 17:19])
    sure &= (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    month = np.clip(month, 1, 12)
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    sure &= (day >= 1) & (day <= _MONTH_DAYS[month] + leap)
    ms = (((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000
    if shape[1]:
        digits_of = matrix[:, 20 : min(23, shape.end(1))]
        ms += _number(digits_of) * 10 ** (3 - digits_of.shape[1])
    if shape[2] and shape[2][:1] in b"+-":
        at = shape.start(2)
        hours, minutes = _number(matrix[:, at + 1 : at + 3]), _number(matrix[:, at + 4 : at + 6])
        sure &= (hours < 24) & (minutes < 60)
        ahead = (hours * 60 + minutes) * 60_000
        ms += -ahead if shape[2][:1] == b"+" else ahead
    return np.where(sure, ms, _UNKNOWN)


def _are_digits(matrix: Bytes) -> npt.NDArray[np.bool_]:
    return (matrix - np.uint8(ord("0"))) < 10


def _number(matrix: Bytes) -> Ints:
    """Return the decimal number that each row of digits writes."""
    number = np.zeros(len(matrix), np.int64)
    for place in range(matrix.shape[1]):
        number = number * 10 + (matrix[:, place] - np.uint8(ord("0")))
    return number


def _days(year: Ints, month: Ints, day: Ints) -> Ints:
    """Return days from 1970-01-01 to a date."""
    year = year - (month <= 2)
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    found: Ints = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return found
