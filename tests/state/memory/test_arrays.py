"""Arrays that are there to stay: they begin as zeros, and take memory only where something was written."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from recommending.related_lists import Entry, RelatedLists
from state.memory.arrays import SMALL_BYTES, longer, zeros

MIB = 1 << 20

LIMITED = """
import resource, sys
from state.errors import OutOfReservedMemory
from state.memory.arrays import reserve, zeros
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
for what in reserve, zeros:
    try:
        what(9 << 30)
    except OutOfReservedMemory as error:
        print(error)
"""


def resident_mib() -> float:
    """Return how much memory this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64])
@pytest.mark.parametrize("shape", [0, 7, (3, 5), SMALL_BYTES, (SMALL_BYTES // 28, 28)])
def test_arrays_are_as_numpys(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> None:
    found, expected = zeros(shape, dtype), np.zeros(shape, dtype)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found.flags.c_contiguous
    assert not found.any()
    found[...] = 1
    assert found.all()


def test_longer_arrays_have_what_the_shorter_had() -> None:
    rng = random.Random(4)
    for _ in range(60):
        n, more, fill = rng.randrange(4_000), rng.randrange(4_000), rng.choice((0, -1, 3))
        old = np.arange(n * 200, dtype=np.int32).reshape(n, 200)
        rest = np.full((more, 200), fill, np.int32)
        assert np.array_equal(longer(old, n + more, fill), np.concatenate((old, rest)))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the tables of Linux")
def test_room_that_is_not_used_takes_no_memory_and_what_is_freed_goes_back() -> None:
    before = resident_mib()
    array = zeros(256 * MIB, np.uint8)
    assert resident_mib() - before < 16
    array[: 64 * MIB] = 1
    assert 60 < resident_mib() - before < 80
    array = zeros(1)
    assert resident_mib() - before < 16


@pytest.mark.skipif(sys.platform != "linux", reason="reads the tables of Linux")
def test_items_without_a_list_take_no_room_among_the_lists() -> None:
    """A kind without any event has numbers for the whole catalogue, too."""
    related = RelatedLists(100)
    related.put("x", [Entry("y", 8, 3, 4.0, 1.0)], buyers=5, recent_mass=2.0, as_of_ms=0)
    before = resident_mib()
    for n in range(100_000):  # lists of so many items take 191 MiB
        related.items.number(str(n))
        if n % 1_000 == 0:
            with related.lock:
                related.make_room()
    assert resident_mib() - before < 60
    assert related.arrays.together[related.items.number("x"), 0] == 8


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_memory_that_the_system_refuses_is_named_with_what_to_do() -> None:
    reserved, array = subprocess.check_output([sys.executable, "-c", LIMITED], text=True).splitlines()
    assert reserved.startswith("the system refuses 9,216 MiB of address space ([Errno 12] ")
    assert array.startswith("the system refuses 73,728 MiB of address space ([Errno 12] ")
    assert "ulimit -v unlimited" in reserved
    assert "ulimit -v unlimited" in array
