"""Large arrays that grow without moving, and a hint to the processor's cache.

A table of counts is gigabytes of random accesses: copying it to grow would stall a partition, and an
access that misses every cache takes ten times one that was asked for in time. So arenas reserve address
space once (the system gives memory page by page as it is touched), and kernels prefetch.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from state.errors import OutOfReservedMemory
from state.memory.kernel_sources import KeptKernels, stamp_of

CACHE_LINE = 64  # bytes
SMALL_BYTES = 2 << 20  # as much as a huge page: what is smaller, and the beginning of an arena, has none
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


def reserve(n_bytes: int) -> npt.NDArray[np.uint64]:
    """Return zeroed words of 8 bytes, which take memory only where they are touched.

    Raises
    ------
    OutOfReservedMemory
        If the system refuses the address space (a limit such as `ulimit -v`).
    """
    region = _mapped(n_bytes, NO_RESERVE)
    if hasattr(mmap, "MADV_HUGEPAGE") and n_bytes > SMALL_BYTES:
        region.madvise(mmap.MADV_HUGEPAGE, SMALL_BYTES, n_bytes - SMALL_BYTES)
    return np.frombuffer(region, dtype=np.uint64)


def _mapped(n_bytes: int, flags: int = 0) -> mmap.mmap:
    try:
        return mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
    except OSError as error:
        raise OutOfReservedMemory(
            f"the system refuses {n_bytes >> 20:,} MiB of address space ({error}); lift the limit on virtual"
            " memory (ulimit -v unlimited), or give the machine or container more memory"
        ) from error


def give_back(arena: npt.NDArray[np.uint64], start: int, end: int) -> None:
    """Zero the words start .. end of what `reserve` returned, and let the system have their pages."""
    arena[start:end] = 0
    first, last = (-(-8 * word // mmap.PAGESIZE) * mmap.PAGESIZE for word in (start, end))
    if last > first and hasattr(mmap, "MADV_DONTNEED"):
        region: mmap.mmap = arena.base.obj
        region.madvise(mmap.MADV_DONTNEED, first, last - first)


def zeros(shape: int | tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Return an array of zeros that is there to stay and leaves room for more.

    A large one has pages of its own: room that is not used yet takes no memory, and when a longer array takes
    its place, the system has all of it back. In the heap, arrays that take turns leave holes.

    Raises
    ------
    OutOfReservedMemory
        If the system refuses the memory of a large one.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) if isinstance(shape, tuple) else shape
    if size * dtype.itemsize < SMALL_BYTES:
        return np.zeros(shape, dtype)
    region = _mapped(size * dtype.itemsize)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        region.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(region, dtype, size).reshape(shape)


def longer(old: npt.NDArray[Any], n: int, fill: int = 0) -> npt.NDArray[Any]:
    """Return an array with room for n elements, filled up with `fill`."""
    new = zeros((n, *old.shape[1:]), old.dtype)
    new[: len(old)] = old
    if fill:
        new[len(old) :] = fill
    return new


def _pointer(builder: Any, address: Any, bits: int) -> Any:
    return builder.inttoptr(address, ir.IntType(bits).as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(_typing: Any, _address: Any) -> Any:
    """Prefetch the cache line at an address (an integer); any address is harmless."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = _pointer(builder, args[0], 8)
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, i32(1), i32(3), i32(1)])
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.voidptr(types.intp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def load(_typing: Any, _address: Any) -> Any:
    """Return the word (uint64) at an address. Hot loops use it, as array references are counted at each
    access.
    """

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args[0], 64))

    return types.uint64(types.intp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def store(_typing: Any, _address: Any, _word: Any) -> Any:
    """Write a word (uint64) at an address."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        builder.store(args[1], _pointer(builder, args[0], 64))
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.voidptr(types.intp, types.uint64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def load_any(_typing: Any, _address: Any) -> Any:
    """Return the word (uint64) at an address that need not be a multiple of 8."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(_pointer(builder, args[0], 64), align=1)

    return types.uint64(types.intp), codegen


@intrinsic  # type: ignore[untyped-decorator]
def store_any(_typing: Any, _address: Any, _word: Any) -> Any:
    """Write a word (uint64) at an address that need not be a multiple of 8."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        builder.store(args[1], _pointer(builder, args[0], 64), align=1)
        return cgutils.get_null_value(ir.IntType(8).as_pointer())

    return types.voidptr(types.intp, types.uint64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_float(_typing: Any, _address: Any, _value: Any) -> Any:
    """Add to the float64 at an address; return the sum."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], ir.DoubleType().as_pointer())
        total = builder.fadd(builder.load(pointer), args[1])
        builder.store(total, pointer)
        return total

    return types.float64(types.intp, types.float64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def float_bits(_typing: Any, _value: Any) -> Any:
    """Return the bits (uint32) of a float32; they order positive floats as the floats themselves."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.uint32(types.float32), codegen


@intrinsic  # type: ignore[untyped-decorator]
def double_bits(_typing: Any, _value: Any) -> Any:
    """Return the bits (uint64) of a float64."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def float_of_bits(_typing: Any, _bits: Any) -> Any:
    """Return the float32 of some bits (uint32)."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.uint32), codegen


Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function with numba: once per machine, and so that it runs without Python's lock.

    Types inside are numba's: mixing np.uint64 and np.int64 gives a float, so both sides are cast. A kernel
    that another one calls with an int32, a uint32 or a literal is compiled once more for each of them, so
    such arguments are cast to np.int64, too.
    """
    compiled: Any = njit(
        cache=True, nogil=True, error_model="numpy", boundscheck=False, no_cfunc_wrapper=True
    )(function)
    kept = compiled._cache
    kept._cache_file = KeptKernels(kept._cache_path, kept._impl.filename_base, stamp_of(function))
    return cast("Function", compiled)


@kernel
def address_of(array: npt.NDArray[Any]) -> int:
    """Return the address of an array's first element."""
    return np.int64(array.ctypes.data)
