"""The archive of Kafka's classes is written once, used by later starts, and never an obstacle."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.broker import class_archive
from streams.broker.class_archive import ClassArchive
from streams.broker.jvm import Jvm
from streams.settings import Settings


def jvm(root: Path, *jars: str, base: bool = True) -> Jvm:
    """Return a JVM that is never run, with or without an archive of Java's own classes."""
    java, of_java = root / "java" / "bin" / "java", root / "java" / "lib" / "server" / "classes.jsa"
    for path in (java, *([of_java] if base else [])):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # its name depends on the time, too
            path.touch()
    return Jvm(java, tuple(Path(jar) for jar in jars))


def test_it_is_written_once_and_then_used(tmp_path: Path) -> None:
    archive = ClassArchive(tmp_path, jvm(tmp_path, "a.jar"), writing=True)
    (flag,) = archive.flags
    assert flag.startswith("-XX:ArchiveClassesAtExit=")
    written = Path(flag.partition("=")[2])
    archive.keep(whole=True)  # writing may have failed
    written.write_bytes(b"cla")
    archive.keep(whole=False)
    assert archive.find() is None
    assert not written.exists()
    written.write_bytes(b"classes")
    archive.keep(whole=True)
    found = archive.find()
    assert found is not None
    assert found.read_bytes() == b"classes"
    assert list(found.parent.iterdir()) == [found]
    for writing in (False, True):
        assert ClassArchive(tmp_path, jvm(tmp_path, "a.jar"), writing=writing).flags == (
            f"-XX:SharedArchiveFile={found}",
        )
    assert ClassArchive(tmp_path, jvm(tmp_path, "a.jar", "b.jar")).find() is None


def test_without_permission_to_write_there_is_no_archive(tmp_path: Path) -> None:
    assert ClassArchive(tmp_path, jvm(tmp_path, "a.jar")).flags == ()


def test_where_it_cannot_be_written_kafka_starts_without(tmp_path: Path) -> None:
    (tmp_path / class_archive.FOLDER).touch()  # there is no directory
    archive = ClassArchive(tmp_path, jvm(tmp_path, "a.jar"), writing=True)
    assert archive.flags == ()
    archive.keep(whole=True)


@pytest.mark.parametrize("damaged", [b"class", b"clbsses", b""])
def test_one_that_is_damaged_is_removed(tmp_path: Path, damaged: bytes) -> None:
    archive = ClassArchive(tmp_path, jvm(tmp_path, "a.jar"), writing=True)
    written = Path(archive.flags[0].partition("=")[2])
    written.write_bytes(b"classes")
    archive.keep(whole=True)
    found = archive.find()
    assert found is not None
    found.write_bytes(damaged)
    assert archive.flags == (f"-XX:ArchiveClassesAtExit={written}",)
    assert not found.exists()


def test_a_java_that_can_have_none_is_not_asked_for_one(tmp_path: Path) -> None:
    archive = ClassArchive(tmp_path, jvm(tmp_path, base=False), writing=True)
    assert not archive.possible
    assert archive.flags == ()
    assert archive.find() is None


def test_a_broker_uses_the_one_that_was_made(tmp_path: Path) -> None:
    class_archive.main()
    from streams.broker.embedded import EmbeddedKafka

    cache_dir = Settings.model_validate({}).cache_dir
    with EmbeddedKafka(tmp_path, cache_dir=cache_dir) as kafka:
        assert kafka.archived is not False
        assert kafka.pid is not None
        command = Path(f"/proc/{kafka.pid}/cmdline").read_bytes().decode().split("\0")
        used = sum(one.startswith(f"-XX:SharedArchiveFile={cache_dir}") for one in command)
        assert used == (1 if kafka.archived else 0)
