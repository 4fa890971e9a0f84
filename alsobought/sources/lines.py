"""Text files and standard input as chunks of whole lines, as they arrive."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from alsobought.sources.errors import SourceError
from alsobought.sources.table import Position

CHUNK_BYTES = 256 << 10
LONGEST_LINE_BYTES = 16 << 20

_UTF8_BOM = b"\xef\xbb\xbf"
_MARK_BYTES = 4  # as many show what a text is written in
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes | None: ...


class Lines:
    """The lines of a stream of bytes, in chunks.

    A chunk is what one read returned, up to its last line break: about `CHUNK_BYTES` of a file, and of a pipe
    what has been written so far. So memory is bounded, and lines of a pipe that falls silent are not held
    back.

    Parameters
    ----------
    name
        The name, for errors.
    stream
        The source of the text; `read` returns what is there, b"" at the end.
    file
        The file below `stream`, whose offset is the progress; None: count what `stream` returned.
    total_bytes
        The size of `file`, None if not known.
    """

    def __init__(
        self, name: str, stream: _Readable, *, file: io.BufferedReader | None, total_bytes: int | None
    ) -> None:
        self.name = name
        self._stream = stream
        self._file = file
        self._read_bytes = 0
        self._total_bytes = total_bytes
        self._head: bytes | None = None
        self._pipe: io.FileIO | None = None

    @classmethod
    def of_file(cls, path: Path) -> Lines:
        """Open a file; .gz and .xz are decompressed."""
        file = open_file(path)
        stream: _Readable = file
        if path.suffix.lower() == ".gz":
            stream = gzip.GzipFile(fileobj=file)
        elif path.suffix.lower() == ".xz":
            stream = lzma.LZMAFile(file)  # noqa: SIM115  # closed by `close`, as is the file below it
        return cls(str(path), stream, file=file, total_bytes=os.fstat(file.fileno()).st_size)

    @classmethod
    def of_pipe(cls, path: Path) -> Lines:
        """Open a pipe by its name: without a buffer, which would wait until it is full."""
        pipe = open_unbuffered(path)
        lines = cls(str(path), pipe, file=None, total_bytes=None)
        lines._pipe = pipe
        return lines

    @classmethod
    def of_stdin(cls) -> Lines:
        """Open standard input without its buffer, which would wait until it is full."""
        stream = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        total_bytes = None
        try:
            status = os.fstat(stream.fileno())
        except OSError:
            pass  # replaced by something in memory
        else:
            total_bytes = status.st_size if stat.S_ISREG(status.st_mode) else None
        return cls("standard input", stream, file=None, total_bytes=total_bytes)

    @property
    def position(self) -> Position:
        """How far the file, as it is on the disk, has been read."""
        if self._file is not None and not self._file.closed:
            return Position(self._file.tell(), self._total_bytes, "bytes")
        return Position(self._read_bytes, self._total_bytes, "bytes")

    def first_character(self) -> bytes:
        """Return the first byte that is no blank, b"" if there is none; read only as far as necessary."""
        while not (self._head or b"").strip():
            more = self._read()
            self._head = (self._head or b"") + more
            if not more:
                break
            self._refuse_endless(self._head)
        return (self._head or b"").strip()[:1]

    def chunks(self) -> Iterator[list[bytes]]:
        """Yield all lines, each with its line break; the file is closed at the end."""
        try:
            rest = b""
            while chunk := self._next():
                cut = chunk.rfind(b"\n") + 1
                if not cut:
                    rest += chunk
                    self._refuse_endless(rest)
                    continue
                yield (rest + chunk[:cut]).splitlines(keepends=True)
                rest = chunk[cut:]
            if rest:
                yield rest.splitlines(keepends=True)
        finally:
            self.close()

    def close(self) -> None:
        """Close the file or pipe; standard input is left open."""
        if self._file is not None and not self._file.closed:
            self._read_bytes = self._file.tell()
            self._file.close()
        if self._pipe is not None:
            self._pipe.close()

    def _next(self) -> bytes:
        if self._head is not None:
            head, self._head = self._head, None
            if head:
                return head
        return self._read()

    def _read(self) -> bytes:
        at_start = self._read_bytes == 0
        try:
            chunk = self._stream.read(CHUNK_BYTES) or b""
            while at_start and 0 < len(chunk) < _MARK_BYTES and (more := self._stream.read(CHUNK_BYTES)):
                chunk += more
        except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(
                f"{self.name} is damaged or cut short ({error}). Fetch or compress it again."
            ) from error
        except OSError as error:
            raise SourceError(f"{self.name} cannot be read: {error.strerror or error}.") from error
        self._read_bytes += len(chunk)
        if at_start:
            if chunk.startswith(_UTF16_BOMS):
                raise SourceError(f"{self.name} is UTF-16. Save it as UTF-8 (iconv -f UTF-16 -t UTF-8).")
            if b"\0" in chunk[:_MARK_BYTES]:
                raise SourceError(
                    f"{self.name} must be text in UTF-8, but has zero bytes. Convert UTF-16"
                    " (iconv -f UTF-16LE -t UTF-8), or give a compressed file its ending, .gz or .xz."
                )
            chunk = chunk.removeprefix(_UTF8_BOM)
        return chunk

    def _refuse_endless(self, text: bytes) -> None:
        if len(text) > LONGEST_LINE_BYTES:
            raise SourceError(
                f"{self.name} has a line of more than {LONGEST_LINE_BYTES >> 20} MiB."
                " Is it CSV or JSON lines, with one row a line?"
            )


def open_file(path: Path | str) -> io.BufferedReader:
    """Open a file for reading; raise SourceError if it cannot be."""
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise _cannot_open(path, error) from error


def open_unbuffered(path: Path) -> io.FileIO:
    """Open a pipe for reading; raise SourceError if it cannot be."""
    try:
        return io.FileIO(path)
    except OSError as error:
        raise _cannot_open(path, error) from error


def _cannot_open(path: Path | str, error: OSError) -> SourceError:
    return SourceError(f"{path} cannot be opened: {error.strerror}. Check the name and its rights.")
