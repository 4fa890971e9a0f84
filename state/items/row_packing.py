"""Rows as they are stored: each number takes as few bits as the numbers of its row need.

A neighbour in a catalogue of 100,000 items takes 17 bits, the minute of a pair within a year 20. A year of
groceries takes half the bytes that its entries take in memory, on the disk and when they are read at a start.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.items.row_layout import (
    CLASSES,
    DROPPED,
    LINE_WORDS,
    LIVE,
    LOST,
    MASS,
    RECENT_MASS,
    SIZE,
    START,
    Rows,
)
from state.items.row_memory import fill
from state.memory.arrays import address_of, kernel, load, store
from state.memory.bits import ONE, ZERO, bits_of, get, push, words_of
from state.memory.entries import DELETED, HIGH, ID, INDEX, MINUTE, REPEATED

HEAD_WORDS = 8  # before the sizes
_BYTE = np.uint64(0xFF)
_WIDTH_BITS = np.uint64(8)
_MOST_BITS, _MINUTE_BITS = np.uint64(63), np.uint64(30)
_AFTER_BIT = np.uint64(30)  # of AFTER


@kernel
def dump(
    rows: Rows, which: npt.NDArray[np.int64], sizes: npt.NDArray[np.uint32], included: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return rows for storing, one behind the other in the layout of a ROW in `state.storage.codec`.

    Return the words, and where each row ends. `sizes` uint32[n, 2, cells] and `included` int64[n] are of the
    n rows.
    """
    cells = sizes.shape[2]
    most = longest = np.int64(1)
    for row in which:
        most += HEAD_WORDS + cells + 3 * rows.heads[row, LIVE] + 2
        longest = max(longest, rows.heads[row, LIVE] + 1)
    words = np.empty(most, np.uint64)
    once, repeated = np.empty(longest, np.uint64), np.empty(longest, np.uint64)
    floats = words.view(np.float64)
    ends = np.empty(len(which), np.int64)
    at = np.int64(0)
    for i in range(len(which)):
        row = which[i]
        words[at] = np.uint64(included[i])
        words[at + 1] = np.uint64(rows.heads[row, MASS])
        floats[at + 2] = rows.heads_f[row, RECENT_MASS]
        words[at + 3] = np.uint64(rows.heads[row, DROPPED])
        floats[at + 4] = rows.heads_f[row, LOST]
        flat = sizes[i].reshape(-1)
        for c in range(cells):
            words[at + HEAD_WORDS + c] = np.uint64(flat[2 * c]) | (np.uint64(flat[2 * c + 1]) << HIGH)
        start, n_words = rows.heads[row, START], CLASSES[rows.heads[row, SIZE]] * LINE_WORDS
        n = m = np.int64(0)
        for slot in range(start, start + n_words):  # write every word, and advance if it counts: no branches
            entry = rows.arena[slot]
            used = (entry != 0) & ((entry & ID) != DELETED)
            many = ((entry >> HIGH) & REPEATED) != 0
            once[n] = entry
            repeated[m] = entry
            n += np.int64(used & ~many)
            m += np.int64(used & many)
        head = words[at + 5 : at + HEAD_WORDS]
        body = words[at + HEAD_WORDS + cells :]
        at += HEAD_WORDS + cells + _pack_entries(rows.side, head, body, once[:n], repeated[:m])
        head[1] |= np.uint64(cells)
        ends[i] = at
    return words[:at], ends


@kernel
def _pack_entries(
    side: npt.NDArray[np.uint64], head: npt.NDArray[np.uint64], body: npt.NDArray[np.uint64],
    once: npt.NDArray[np.uint64], repeated: npt.NDArray[np.uint64],
) -> int:  # fmt: skip
    """Write a row's entries: their number and widths into `head`, the rest into `body`; return its words."""
    ids, least, latest = ZERO, MINUTE, ZERO
    for entry in once:
        minute = (entry >> HIGH) & MINUTE
        ids |= (entry & ID) - ONE
        least, latest = min(least, minute), max(latest, minute)
    counts = ZERO
    for entry in repeated:
        ids |= (entry & ID) - ONE
        counts |= side[2 * np.int64((entry >> HIGH) & INDEX)]
    if len(once) == 0:
        least = ZERO
    id_bits, minute_bits = bits_of(ids), bits_of(latest - least)
    after_bits, before_bits = bits_of(counts & ID), bits_of(counts >> HIGH)
    open_word = used = ZERO
    at = begin = address_of(body)
    records = address_of(side)
    width = id_bits + minute_bits + ONE
    for entry in once:
        payload = entry >> HIGH
        pair = (((payload & MINUTE) - least) << ONE) | ((payload >> _AFTER_BIT) & ONE)
        value = ((entry & ID) - ONE) | (pair << id_bits)
        at, open_word, used = push(at, open_word, used, value, width)
    for entry in repeated:
        both = load(records + 16 * np.int64((entry >> HIGH) & INDEX))
        at, open_word, used = push(at, open_word, used, (entry & ID) - ONE, id_bits)
        at, open_word, used = push(at, open_word, used, both & ID, after_bits)
        at, open_word, used = push(at, open_word, used, both >> HIGH, before_bits)
    if used > ZERO:
        store(at, open_word)
        at += 8
    for entry in repeated:
        store(at, load(records + 16 * np.int64((entry >> HIGH) & INDEX) + 8))
        at += 8
    head[0] = np.uint64(len(once)) | (np.uint64(len(repeated)) << HIGH)
    head[1] = least << HIGH
    widths = ZERO
    for bits in (before_bits, after_bits, minute_bits, id_bits):
        widths = (widths << _WIDTH_BITS) | bits
    head[2] = widths
    return (at - begin) // 8


@kernel
def restore(
    rows: Rows, which: npt.NDArray[np.int64], words: npt.NDArray[np.uint64], ends: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.uint32], included: npt.NDArray[np.int64],
) -> int:  # fmt: skip
    """Put what `dump` returned into rows without entries; write their sizes and included offsets to the
    arrays.

    Return the index of the first row that has another number of size cells than expected, or another length
    than its entries take; -1 if there is none.
    """
    cells = sizes.shape[2]
    floats = words.view(np.float64)
    at = np.int64(0)
    for i in range(len(which)):
        row, size = which[i], ends[i] - at
        if size < HEAD_WORDS + cells or np.int64(words[at + 6] & ID) != cells:
            return i
        included[row] = np.int64(words[at])
        flat = sizes[row].reshape(-1)
        for c in range(cells):
            both = words[at + HEAD_WORDS + c]
            flat[2 * c], flat[2 * c + 1] = np.uint32(both & ID), np.uint32(both >> HIGH)
        if not _unpack_entries(
            rows, row, words[at + 5 : at + HEAD_WORDS], words[at + HEAD_WORDS + cells : ends[i]]
        ):
            return i
        rows.heads[row, MASS] = np.int64(words[at + 1])
        rows.heads_f[row, RECENT_MASS] = floats[at + 2]
        rows.heads[row, DROPPED] = np.int64(words[at + 3])
        rows.heads_f[row, LOST] = floats[at + 4]
        at = ends[i]
    return -1


@kernel
def _unpack_entries(rows: Rows, row: int, head: npt.NDArray[np.uint64], body: npt.NDArray[np.uint64]) -> bool:
    """Put entries that `_pack_entries` wrote into a row without any; return False if the length is wrong."""
    n, m = np.int64(head[0] & ID), np.int64(head[0] >> HIGH)
    least, widths = head[1] >> HIGH, head[2]
    id_bits, minute_bits = widths & _BYTE, (widths >> _WIDTH_BITS) & _BYTE
    after_bits = (widths >> np.uint64(16)) & _BYTE
    before_bits = (widths >> np.uint64(24)) & _BYTE
    once_bits = id_bits + minute_bits + ONE
    packed = words_of(np.uint64(n) * once_bits + np.uint64(m) * (id_bits + after_bits + before_bits))
    if (
        id_bits > HIGH
        or minute_bits > _MINUTE_BITS
        or least > MINUTE
        or least + ((ONE << minute_bits) - ONE) > MINUTE + MINUTE
    ):
        return False  # an entry has no room for it
    if once_bits > _MOST_BITS or after_bits > HIGH or before_bits > HIGH or len(body) != np.int64(packed) + m:
        return False
    once, repeated = np.empty(n, np.uint64), np.empty((m, 3), np.uint64)
    ids = (ONE << id_bits) - ONE
    at, words = ZERO, address_of(body)
    for i in range(n):
        entry = get(words, at, once_bits)
        at += once_bits
        pair = entry >> id_bits
        payload = ((pair >> ONE) + least) | ((pair & ONE) << _AFTER_BIT)
        once[i] = (payload << HIGH) | ((entry & ids) + ONE)
    for i in range(m):
        repeated[i, 0] = get(words, at, id_bits)
        at += id_bits
        after = get(words, at, after_bits)
        at += after_bits
        repeated[i, 1] = after | (get(words, at, before_bits) << HIGH)
        at += before_bits
        repeated[i, 2] = body[packed + np.uint64(i)]
    fill(rows, row, once, repeated)
    return True
