"""Sort batches of events by event time, however many: a stable external merge sort.

What is read is collected into runs of bounded size. If all fits into one, it is sorted in memory. Otherwise
each run is sorted and written to a file of its own in a temporary folder, and the files are merged while they
are read again, with a batch of each in memory at a time (Knuth, The Art of Computer Programming 3, 5.4).
Events of equal time stay in the order in which they were read. Batches that are in order already are not
sorted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alsobought.sources.arrays import array, integers
from alsobought.sources.errors import SourceError

RUN_BYTES = 256 << 20
"""How much is collected before it is written to a file; sorting takes as much again."""
BATCH_ROWS = 20_000

Times = npt.NDArray[np.int64]


class Sorted:
    """All batches of an iterable, sorted by the column `timestamp`; a context manager that removes its files.

    Entering it reads everything, so an error of the source is raised there, before anything is passed on.

    Parameters
    ----------
    name
        What is sorted, for errors.
    batches
        Record batches of one schema.
    run_bytes
        The size of a run.
    """

    def __init__(self, name: str, batches: Iterable[pa.RecordBatch], *, run_bytes: int = RUN_BYTES) -> None:
        self._name = name
        self._batches = batches
        self._run_bytes = run_bytes
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._runs: list[Path] = []
        self._last: pa.Table | None = None
        self._in_order = True
        self.rows = 0

    def __enter__(self) -> Sorted:
        try:
            self._collect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self._last = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the events in order, in batches."""
        if not self._runs:
            if self._last is not None:
                yield from self._last.to_batches(BATCH_ROWS)
            return
        runs = [_batches_of(path) for path in self._runs]
        if self._last is not None:
            runs.append(iter(self._last.to_batches(BATCH_ROWS)))
        if self._in_order:
            for run in runs:
                yield from run
        else:
            yield from _merged(runs)

    def _collect(self) -> None:
        batches: list[pa.RecordBatch] = []
        size, latest = 0, np.iinfo(np.int64).min
        for batch in self._batches:
            if not batch.num_rows:
                continue
            times = integers(batch.column("timestamp"))
            self._in_order = self._in_order and latest <= times[0] and not bool((np.diff(times) < 0).any())
            latest = times[-1]
            self.rows += batch.num_rows
            batches.append(batch)
            size += batch.nbytes
            if size >= self._run_bytes:
                self._write(_run(batches))
                batches, size = [], 0
        if batches:
            self._last = _run(batches)

    def _write(self, run: pa.Table) -> None:
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="alsobought-sort-")
            path = Path(self._folder.name) / f"{len(self._runs):06}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, run.schema) as writer:
                writer.write_table(run, BATCH_ROWS)
        except OSError as error:
            raise SourceError(
                f"{self._name} is sorted by time on disk, and {tempfile.gettempdir()} has no room for it"
                f" ({error.strerror or error}). Name another folder in the variable TMPDIR, or send the file"
                " as it is with --unsorted."
            ) from error
        self._runs.append(path)


def _run(batches: list[pa.RecordBatch]) -> pa.Table:
    """Return the batches as one table in order of time."""
    table = pa.Table.from_batches(batches).combine_chunks()
    times = integers(table.column("timestamp"))
    if not bool((np.diff(times) < 0).any()):
        return table
    return table.take(array(np.argsort(times, kind="stable")))


def _batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)


class _Run:
    """A run while it is merged: what is left of its current batch."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.left: pa.RecordBatch | None = None
        self.times: Times = np.zeros(0, np.int64)
        self.fill()

    def fill(self) -> None:
        """Take the next batch; `left` is None at the end."""
        self.left = next(self._batches, None)
        self.times = integers(self.left.column("timestamp")) if self.left is not None else self.times[:0]

    def take(self, count: int) -> pa.RecordBatch:
        """Take the first `count` rows."""
        assert self.left is not None
        taken = self.left.slice(0, count)
        if count < self.left.num_rows:
            self.left, self.times = self.left.slice(count), self.times[count:]
        else:
            self.fill()
        return taken


def _merged(batches: list[Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """Merge runs, earlier runs first where times are equal."""
    runs = [_Run(run) for run in batches]
    while runs := [run for run in runs if run.left is not None]:
        # The run whose batch ends first may have more of that time, which come before those of later runs.
        bound = min(int(run.times[-1]) for run in runs)
        first = next(n for n, run in enumerate(runs) if run.times[-1] == bound)
        parts = []
        for n, run in enumerate(runs):
            count = int(np.searchsorted(run.times, bound, "right" if n <= first else "left"))
            if count:
                parts.append(run.take(count))
        yield from _run(parts).to_batches(BATCH_ROWS)
