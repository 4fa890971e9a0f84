"""This machine: packages, Java, disk, and where checkpoints go."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from alsobought.doctor.finding import Finding, Level
from streams.broker.java import bundled_java, find_java
from streams.http_metrics import own_version
from streams.kinds import counted_of
from streams.settings import Settings
from streams.stores.checkpoints import Checkpoints

GIB = 1 << 30
LEAST_FREE, LITTLE_FREE = 1 * GIB, 4 * GIB
LOCK = "requirements-run.lock"
_LOCKED = re.compile(r"^([\w.-]+)==([^\s;\\]+)( *;)?", re.MULTILINE)


def lock_file() -> Path:
    """Return the file with the versions that are tested: in the package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    return next((file for file in (package / LOCK, package.parent / LOCK) if file.exists()), package / LOCK)


def packages(lock: Path) -> Iterator[Finding]:
    """Compare installed packages with a lock, which may have several versions of one for several Pythons."""
    locked: dict[str, list[str]] = defaultdict(list)
    optional = set()
    for name, version, marker in _LOCKED.findall(lock.read_text(encoding="utf-8")):
        locked[name].append(version)
        if marker:  # it may be for other systems
            optional.add(name)
    others, missing = [], []
    for name, versions in locked.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name not in optional:
                missing.append(name)
            continue
        if found not in versions:
            others.append(f"{name} {found} (tested: {' or '.join(versions)})")
    if missing:
        yield Finding(
            Level.ERROR,
            "packages",
            f"not installed: {', '.join(missing)}",
            "install alsobought again, by pip",
        )
    if others:
        yield Finding(
            Level.WARNING, "packages", f"other versions than those tested: {', '.join(others)}",
            f"install the versions of {LOCK}: pip install --require-hashes -r {lock}",
        )  # fmt: skip
    if not missing and not others:
        yield Finding(Level.OK, "packages", f"alsobought {own_version()}, {len(locked)} packages as tested")


def java(settings: Settings) -> Iterator[Finding]:
    """Look for a Java, which only a local Kafka needs."""
    if settings.kafka:
        yield Finding(Level.OK, "java", "not needed, because Kafka runs elsewhere")
        return
    found = find_java(bundled=bundled_java())
    yield Finding(Level.OK, "java", f"Java {found.feature} at {found.path}")


def disk(settings: Settings) -> Iterator[Finding]:
    """Look whether the data directory can be written, and has room."""
    folder = settings.data_dir.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if not os.access(there, os.W_OK):
        yield Finding(
            Level.ERROR, "disk", f"{there} cannot be written by this user",
            "repair its permissions, or set ALSOBOUGHT_DATA_DIR to another directory",
        )  # fmt: skip
    elif free < LITTLE_FREE:
        level = Level.ERROR if free < LEAST_FREE else Level.WARNING
        yield Finding(
            level, "disk", f"only {free / GIB:.1f} GiB are free for {folder}",
            "free some, or set ALSOBOUGHT_DATA_DIR to another disk",
        )  # fmt: skip
    else:
        yield Finding(Level.OK, "disk", f"{free / GIB:,.1f} GiB are free for {folder}")


def checkpoints(settings: Settings) -> Iterator[Finding]:
    """Look whether checkpoints are taken, and can be read."""
    if settings.checkpoint_url is None:
        yield Finding(
            Level.WARNING, "checkpoints", "none are taken: who loses its disk counts everything anew",
            "set ALSOBOUGHT_CHECKPOINT_URL to a directory or a URL that all workers reach",
        )  # fmt: skip
        return
    found = Checkpoints(settings.checkpoint_url, settings.checkpoints_kept, counted_of(settings)).tasks()
    yield Finding(Level.OK, "checkpoints", f"{len(found)} tasks have some at {settings.checkpoint_url}")
