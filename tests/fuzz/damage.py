"""Hypothesis strategies for inputs that nearly are what a decoder expects.

Random bytes are refused by the first check of any decoder. What finds faults is a valid input of which a few
bytes were changed, cut, inserted or repeated, or a JSON text of which one value was exchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

WORDS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 24, 1 << 30, 0x7FFFFFFF, 1 << 31, 0xFFFFFFFF)
LONG_WORDS = (*WORDS, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, -1e308, 2**31, 2**32, 2**53, 2**63, -(2**63), 2**64,
    10**30,
    "", "x", "\x00", "\x1f", "é", "\ud800", "x" * 300, "../..", "%", "1970-01-01", "9999-12-31", "0001-01-01",
    "3000-01-01T00:00:00Z", "1900-01-01T00:00:00+23:59", [], {}, [[]], [None], {"": {}},
)  # fmt: skip
Draw = Callable[[Any], Any]


def _at(draw: Draw, raw: bytes, step: int = 1) -> int:
    return int(draw(st.integers(0, max(0, len(raw) // step - 1)))) * step


def _bytes(draw: Draw, words: Sequence[int], size: int) -> bytes:
    return int(draw(st.sampled_from(words))).to_bytes(size, "little")


def _flip(draw: Draw, raw: bytes) -> bytes:
    at = _at(draw, raw)
    return raw[:at] + bytes([raw[at] ^ (1 << draw(st.integers(0, 7)))]) + raw[at + 1 :] if raw else raw


def _set(draw: Draw, raw: bytes) -> bytes:
    at = _at(draw, raw)
    return raw[:at] + bytes([draw(st.integers(0, 255))]) + raw[at + 1 :]


def _word(draw: Draw, raw: bytes) -> bytes:
    at = _at(draw, raw, 4)
    return raw[:at] + _bytes(draw, WORDS, 4) + raw[at + 4 :]


def _long_word(draw: Draw, raw: bytes) -> bytes:
    at = _at(draw, raw, 8)
    return raw[:at] + _bytes(draw, LONG_WORDS, 8) + raw[at + 8 :]


def _cut(draw: Draw, raw: bytes) -> bytes:
    at = _at(draw, raw)
    return raw[:at] + raw[at + int(draw(st.integers(1, 16))) :]


def _end(draw: Draw, raw: bytes) -> bytes:
    return raw[: _at(draw, raw)]


def _insert(draw: Draw, raw: bytes) -> bytes:
    at = _at(draw, raw)
    return raw[:at] + bytes(draw(st.binary(min_size=1, max_size=16))) + raw[at:]


def _repeat(draw: Draw, raw: bytes) -> bytes:
    at = _at(draw, raw)
    some = raw[at : at + int(draw(st.integers(1, 64)))]
    return raw[:at] + some * int(draw(st.sampled_from((1, 2, 50)))) + raw[at:]


CHANGES: tuple[Callable[[Draw, bytes], bytes], ...] = (
    _flip, _set, _word, _long_word, _cut, _end, _insert, _repeat,
)  # fmt: skip


@st.composite
def damaged(draw: Draw, examples: Sequence[bytes]) -> bytes:
    """Return an example with up to four changes; sometimes the one unchanged, or with another's end."""
    raw: bytes = draw(st.sampled_from(examples))
    if draw(st.integers(0, 9)) == 0:
        other = draw(st.sampled_from(examples))
        raw = raw[: _at(draw, raw)] + other[_at(draw, other) :]
    for _ in range(draw(st.integers(0, 4))):
        raw = draw(st.sampled_from(CHANGES))(draw, raw)
    return raw


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values in a JSON value."""
    found = [path]
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        found += _places(part, (*path, name))
    return found


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], by)
    return copy


@st.composite
def damaged_json(draw: Draw, examples: Sequence[bytes]) -> bytes:
    """Return a JSON example with values exchanged, or with bytes damaged, or nested beyond any measure."""
    how = draw(st.integers(0, 9))
    if how < 3:
        raw: bytes = draw(damaged(examples))
        return raw
    value = json.loads(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, 3))):
        paths = _places(value)
        value = _replaced(value, draw(st.sampled_from(paths)), draw(st.sampled_from(VALUES)))
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    if how == 9:
        depth = draw(st.sampled_from((10, 5_000)))
        text = f'{text[:-1]}, "deep": {"[" * depth}{"]" * depth}}}'
    return text.encode("utf-8", "surrogatepass")
