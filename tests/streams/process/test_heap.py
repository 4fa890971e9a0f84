"""The heap lies in huge pages, is shared by all threads, and keeps blocks that are used again and again."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from streams.process.heap import KEPT_BYTES, TUNABLE, VARIABLE, continue_with_huge_pages, with_huge_pages

HUGE = f"{TUNABLE}=1"
MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

glibc = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="of glibc")

BEGIN = """
import sys
from streams.process.heap import use_one_heap
if sys.argv[1] == "one heap":
    use_one_heap()
"""

FAULTS = """
import resource
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(100):
    blocks = [bytearray(1 << 20) for _ in range(4)]
    del blocks
print(faults() - before)
"""

RETURNED = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def returned(size, blocks):
    for place in range(len(blocks)):
        blocks[place] = libc.malloc(size)
    end = libc.sbrk(0)
    for block in blocks:
        libc.free(block)
    return end - libc.sbrk(0)
returned(1, [0] * 200)  # what the first calls keep must not lie behind the large blocks
print(returned(1 << 20, [0] * 200) >> 20)
"""

HEAPS = """
import ctypes, threading
libc, ready = ctypes.CDLL(None), threading.Barrier(4)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
def allocate():
    ready.wait()
    for _ in range(1_000):
        libc.malloc(1_000)
    ready.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""

HEAP_IN_HUGE_PAGES = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
for _ in range(64 << 10):
    ctypes.memset(libc.malloc(ctypes.c_size_t(1 << 10)), 1, 1 << 10)
heap, kib = False, 0
for line in open("/proc/self/smaps"):
    if "-" in line.split()[0]:
        heap = line.rstrip().endswith("[heap]")
    elif heap and line.startswith("AnonHugePages:"):
        kib += int(line.split()[1])
print(kib)
"""

AGAIN = """
import os
from streams.process.heap import continue_with_huge_pages
print("begins", os.getpid(), flush=True)
continue_with_huge_pages()
print(os.environ["GLIBC_TUNABLES"], flush=True)
"""


def printed(program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Return what a program prints in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.check_output(command, text=True, env=environment or clean)


@glibc
def test_blocks_used_again_and_again_are_not_given_back() -> None:
    assert int(printed(BEGIN + FAULTS, "one heap")) < 4_000, "100,000 if the system gave each anew"


@glibc
def test_what_is_free_beyond_the_bound_goes_back() -> None:
    assert int(printed(BEGIN + RETURNED, "one heap")) > 200 - 2 * (KEPT_BYTES >> 20)


@glibc
def test_all_threads_share_one_heap() -> None:
    assert printed(BEGIN + HEAPS, "one heap").count("<heap nr=") == 1
    assert printed(BEGIN + HEAPS, "as it is").count("<heap nr=") > 1


@glibc
@pytest.mark.skipif(
    not MODE.exists() or "[madvise]" not in MODE.read_text(), reason="where huge pages come on request"
)
@pytest.mark.skipif(
    tuple(map(int, platform.libc_ver()[1].split(".")[:2] or (0,))) < (2, 35), reason="of glibc 2.35"
)
def test_a_heap_lies_in_huge_pages() -> None:
    assert int(printed(HEAP_IN_HUGE_PAGES, environment=with_huge_pages(os.environ))) > 32 << 10
    assert int(printed(HEAP_IN_HUGE_PAGES)) == 0


def test_what_the_user_has_chosen_stays() -> None:
    assert with_huge_pages({"A": "b"}) == {"A": "b", VARIABLE: HUGE}
    other = {VARIABLE: "glibc.malloc.check=1"}
    assert with_huge_pages(other) == {VARIABLE: f"glibc.malloc.check=1:{HUGE}"}
    own = {VARIABLE: f"{TUNABLE}=2"}
    assert with_huge_pages(own) == own


def test_a_command_continues_as_the_same_process() -> None:
    first, second, tunables = printed(AGAIN).splitlines()
    assert first == second
    assert first.startswith("begins ")
    assert tunables == HUGE


def test_a_process_with_huge_pages_continues_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, HUGE)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("started again"))
    continue_with_huge_pages()


CYCLES = """
import gc, sys
gc.disable()
from streams.process.heap import collect_rarely
class Cycle:
    alive = 0
    def __init__(self):
        self.itself = self
        Cycle.alive += 1
    def __del__(self):
        Cycle.alive -= 1
lasting = [Cycle() for _ in range(1_000)]
collect_rarely()
most = 0
for _ in range(100_000):
    Cycle()
    most = max(most, Cycle.alive)
print(most - len(lasting), gc.get_freeze_count() > len(lasting))
"""


def test_cycles_are_collected_after_some_thousand_objects_though_imports_are_not_interrupted() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLES], capture_output=True, text=True, check=True)
    most, frozen = done.stdout.split()
    assert 2_000 < int(most) <= 10_000
    assert frozen == "True"
