"""An archive of Kafka's classes as the JVM has them in memory, with which Kafka starts in half the time.

A JVM writes it when it ends (class data sharing, `-XX:ArchiveClassesAtExit`), which takes some ten seconds;
all JVMs that start later use it. `make test` makes one first:

    python -m streams.broker.class_archive
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import uuid
from pathlib import Path

from streams.broker.jvm import Jvm

FOLDER = "class-archives"
DIGITS = 16  # of sums, in hexadecimal


class ClassArchive:
    """The archive of one JVM and its jars.

    The file's name identifies the Java and the jars, and has a part of the checksum of its bytes, because a
    JVM that maps an incomplete file would crash. Where the archive cannot be written, Kafka starts without
    it.

    Parameters
    ----------
    cache_dir
        The directory below which the archive is kept; it takes some 50 MB.
    writing
        Whether the JVM shall write it when it ends, if there is none yet.

    Attributes
    ----------
    possible : bool
        Whether this Java can have one. The Java that comes as a Python package lacks the archive of Java's
        own classes, on which ours would build.
    """

    def __init__(self, cache_dir: Path, jvm: Jvm, *, writing: bool = False) -> None:
        java = jvm.java.resolve()
        self.possible = (java.parent.parent / "lib" / "server" / "classes.jsa").exists()
        names = [str(java), str(java.stat().st_mtime_ns), *(str(jar.absolute()) for jar in jvm.class_path)]
        self._of = hashlib.sha256(os.pathsep.join(names).encode()).hexdigest()[:DIGITS]
        self._folder = (cache_dir / FOLDER).absolute()
        self._new: Path | None = None
        if writing and self.possible:
            self._new = self._folder / f"{self._of}.{uuid.uuid4().hex}.new"

    def find(self) -> Path | None:
        """Return the archive, None if there is none. An incomplete one is removed."""
        for path in sorted(self._folder.glob(f"{self._of}-*.jsa")):
            if path.stem.partition("-")[2] == _sum(path):
                return path
            with contextlib.suppress(OSError):  # a cache that is only read: it is not used either
                path.unlink()
        return None

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of a JVM that uses the archive, or writes it."""
        if (found := self.find()) is not None:
            return (f"-XX:SharedArchiveFile={found}",)
        if self._new is None:
            return ()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return ()
        return (f"-XX:ArchiveClassesAtExit={self._new}",)

    def keep(self, *, whole: bool) -> None:
        """Keep what the JVM wrote, after it has ended; remove it if the JVM was killed meanwhile."""
        if self._new is None or not self._new.exists():
            return
        if whole:
            self._new.replace(self._folder / f"{self._of}-{_sum(self._new)}.jsa")
        else:
            self._new.unlink()


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]


def main() -> None:
    """Make the archive for the Java and the Kafka that are used here, if there is none."""
    from streams.broker.embedded import EmbeddedKafka
    from streams.settings import Settings

    settings = Settings.model_validate({})
    with tempfile.TemporaryDirectory() as folder:
        kafka = EmbeddedKafka(
            Path(folder), cache_dir=settings.cache_dir, kafka_home=settings.kafka_home, archives=True
        )
        if kafka.archived is False:
            print("Making an archive of Kafka's classes (once, half a minute) ...")
            with kafka:
                pass


if __name__ == "__main__":
    main()
