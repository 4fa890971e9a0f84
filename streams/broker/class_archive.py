"""An archive of Kafka's classes as the JVM has them in memory: with it Kafka starts in half of the time.

A JVM that ends writes it (class data sharing, `-XX:ArchiveClassesAtExit`), which takes it some ten seconds
more; all that start later use it. A JVM that it does not fit ignores it. `make test` makes one first:

    python -m streams.broker.class_archive
"""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

from streams.broker.jvm import Jvm

FOLDER = "class-archives"


class ClassArchive:
    """The archive of one JVM and its jars.

    Parameters
    ----------
    cache_dir
        The archive is kept below it, some 50 MB.
    writing
        Whether the JVM is to write it at its end, if there is none yet.

    Attributes
    ----------
    path : Path
        Where it is, or will be.
    possible : bool
        Whether this Java can have one: the one that comes as a Python package lacks the archive of Java's own
        classes, which ours would build on.
    """

    def __init__(self, cache_dir: Path, jvm: Jvm, *, writing: bool = False) -> None:
        java = jvm.java.resolve()
        self.possible = (java.parent.parent / "lib" / "server" / "classes.jsa").exists()
        names = [str(java), str(java.stat().st_mtime_ns), *(str(jar.absolute()) for jar in jvm.class_path)]
        folder = (cache_dir / FOLDER).absolute()
        self.path = folder / f"{zlib.crc32(os.pathsep.join(names).encode()):08x}.jsa"
        self._new = self.path.with_suffix(f".{os.getpid()}.new") if writing and self.possible else None

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of a JVM that uses it, or writes it."""
        if self.path.exists():
            return (f"-XX:SharedArchiveFile={self.path}",)
        if self._new is None:
            return ()
        self._new.parent.mkdir(parents=True, exist_ok=True)
        return (f"-XX:ArchiveClassesAtExit={self._new}",)

    def keep(self, *, whole: bool) -> None:
        """Take what the JVM wrote, now that it has ended; remove it where the JVM was killed meanwhile."""
        if self._new is None:
            return
        if whole and self._new.exists():
            self._new.replace(self.path)
        self._new.unlink(missing_ok=True)


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
