"""An archive of Kafka's classes as the JVM has them in memory: with it Kafka starts in half of the time.

A JVM that ends writes it (class data sharing, `-XX:ArchiveClassesAtExit`), which takes it some ten seconds
more; all that start later use it. `make test` makes one first:

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

    Its file's name says of which Java and jars it is, and has a part of the sum of its bytes: a JVM that maps
    a file that is not whole would crash. Where it cannot be written Kafka starts without.

    Parameters
    ----------
    cache_dir
        The archive is kept below it, some 50 MB.
    writing
        Whether the JVM is to write it at its end, if there is none yet.

    Attributes
    ----------
    possible : bool
        Whether this Java can have one: the one that comes as a Python package lacks the archive of Java's own
        classes, which ours would build on.
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
        """Return the archive, None if there is none. One that is not whole is removed."""
        for path in sorted(self._folder.glob(f"{self._of}-*.jsa")):
            if path.stem.partition("-")[2] == _sum(path):
                return path
            with contextlib.suppress(OSError):  # a cache that is only read: it is not used either
                path.unlink()
        return None

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of a JVM that uses it, or writes it."""
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
        """Take what the JVM wrote, now that it has ended; remove it where the JVM was killed meanwhile."""
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
