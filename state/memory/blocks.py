"""Blocks of words in an arena: a bump pointer, and a free list per size class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel

NONE = -1


def size_classes(smallest: int, largest: int) -> npt.NDArray[np.int64]:
    """Return block sizes in units, class 0 being empty; each is about a third larger than the last.

    >>> size_classes(1, 20).tolist()
    [0, 1, 2, 3, 4, 6, 8, 11, 15, 20]
    """
    classes = [0, smallest]
    while classes[-1] < largest:
        classes.append(max(classes[-1] + smallest, (classes[-1] * 4 + 2) // 3))
    return np.array(classes, dtype=np.int64)


def new_free(classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return, per class, the first freed block (word index), and last the end of the used words."""
    free = np.full(len(classes) + 1, NONE, np.int64)
    free[-1] = 0
    return free


@kernel
def allocate(arena: npt.NDArray[np.uint64], free: npt.NDArray[np.int64], size: int, words: int) -> int:
    """Return the first word of a zeroed block of class `size`, which has `words` words."""
    head = free[size]
    if head >= 0:
        free[size] = np.int64(arena[head])
        arena[head : head + words] = np.uint64(0)
        return head
    start = free[-1]
    free[-1] = start + words
    return start


@kernel
def release(arena: npt.NDArray[np.uint64], free: npt.NDArray[np.int64], size: int, start: int) -> None:
    """Free a block; its first word links to the next free one (none: all bits set)."""
    if size > 0:
        arena[start] = np.uint64(free[size])
        free[size] = start


@kernel
def close_gaps(
    arena: npt.NDArray[np.uint64],
    free: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
) -> tuple[int, int]:
    """Slide all blocks (`starts` ascending, changed in place; their `words`) down over what is free.

    Return the words, from .. to, that are unused from now on.
    """
    at = 0
    for i in range(len(starts)):
        if starts[i] != at:
            for word in range(words[i]):
                arena[at + word] = arena[starts[i] + word]
            starts[i] = at
        at += words[i]
    end = free[-1]
    free[:-1] = NONE
    free[-1] = at
    return at, end


@kernel
def wipe(arena: npt.NDArray[np.uint64], start: int, words: int) -> None:
    """Overwrite a block before it is freed, so that nothing of an erased customer is left in it."""
    arena[start : start + words] = np.uint64(0)
