"""Large arrays that grow without moving, and a hint to the processor's cache.

A table of counts is gigabytes of random accesses: copying it to grow would stall a partition, and an
access that misses every cache takes ten times one that was asked for in time. So arenas reserve address
space once (the system gives memory page by page as it is touched), and kernels prefetch.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from state.errors import OutOfReservedMemory

NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def reserve(n_bytes: int) -> npt.NDArray[np.uint64]:
    """Zeroed words of 8 bytes, backed by memory only where touched.

    Raises
    ------
    OutOfReservedMemory
        If the system refuses the address space (a limit such as `ulimit -v`).
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
    try:
        region = mmap.mmap(-1, n_bytes, flags=flags)
    except OSError as error:
        raise OutOfReservedMemory(
            f"cannot reserve {n_bytes >> 30} GiB of address space ({error}); "
            "lift the limit on virtual memory (ulimit -v unlimited)"
        ) from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        region.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(region, dtype=np.uint64)


@intrinsic
def prefetch(_typing: Any, _address: Any) -> Any:
    """Ask for the cache line at an address (an integer); harmless if the address is wild."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, i32(1), i32(3), i32(1)])
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.voidptr(types.uintp), codegen


kernel = njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)
"""Decorator of every numba kernel: compiled once per machine, runs outside Python's lock."""
