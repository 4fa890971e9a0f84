"""Kafka's jars: fetched once with jgo, accepted only with the SHA-256 sums pinned in `jars.sha256`.

The cache holds one directory per set of jars. It is filled beside its final place and renamed into it
under a lock, so that it is complete or absent, also when several processes start for the first time.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.broker.errors import (
    CacheUnusable,
    DownloaderMissing,
    DownloadFailed,
    JarRefused,
    KafkaHomeUnusable,
)

KAFKA_VERSION = "4.4.0"
# Resolved one by one: together, jgo would let log4j's own build file pin kafka-clients to an old release.
ENDPOINTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",
)

_DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})

OnProgress = Callable[[str, int, int], None]
"""Called with the name of the jar being fetched, how many are done, and how many there are."""

Fetch = Callable[["JarSet", Path, OnProgress], Iterable[Path]]
"""Puts a set's jars somewhere under the given empty directory and says where."""


@dataclass(frozen=True)
class JarSet:
    """Jars that belong together: `sums` maps each file name to its SHA-256 in hexadecimal."""

    name: str
    endpoints: tuple[str, ...]
    sums: Mapping[str, str]


def read_sums(text: str) -> dict[str, str]:
    """Parse lines of `sha256  filename`, as sha256sum writes them, into {filename: sha256}."""
    pairs = (line.split() for line in text.splitlines() if line.strip())
    return {name: digest for digest, name in pairs}


KAFKA = JarSet(
    f"kafka-{KAFKA_VERSION}",
    ENDPOINTS,
    read_sums(Path(__file__).with_name("jars.sha256").read_text(encoding="utf-8")),
)


def stderr_progress(name: str, done: int, total: int) -> None:
    """Show on standard error how far the download is: one line on a terminal, else the first and the last."""
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        print(
            f"\r\033[KDownloading Kafka, once: {done}/{total} jars {name}",
            end=end,
            file=sys.stderr,
            flush=True,
        )
    elif done == total or not name:
        print(f"Downloading Kafka, once: {done}/{total} jars", file=sys.stderr, flush=True)


def ensure_jars(
    cache_dir: Path,
    wanted: JarSet = KAFKA,
    *,
    progress: OnProgress = stderr_progress,
    fetch: Fetch | None = None,
) -> list[Path]:
    """Return the verified jars of a set, fetching them into the cache first where needed.

    Every jar is read and checked at every call. A cached jar that is missing or changed makes the set
    be fetched anew; fetched jars that are wrong are refused and never reach the cache.

    Raises
    ------
    DownloaderMissing, DownloadFailed, JarRefused, CacheUnusable
    """
    final = cache_dir / wanted.name
    jars = [final / name for name in sorted(wanted.sums)]
    try:
        if not faults(final, wanted):
            return jars
        if fetch is None and importlib.util.find_spec("jgo") is None:
            raise DownloaderMissing(
                "the local Kafka is not downloaded yet, and the package jgo, which downloads it, is not"
                " installed: pip install 'alsobought[local]'; or unpack an Apache Kafka archive and set"
                " ALSOBOUGHT_KAFKA_HOME to it; or set ALSOBOUGHT_KAFKA to a Kafka that runs elsewhere."
            )
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _locked(cache_dir / f"{wanted.name}.lock"):
            if faults(final, wanted):  # else another process has just fetched them
                with tempfile.TemporaryDirectory(dir=cache_dir, prefix="fetching-") as scratch:
                    _fill(final, wanted, Path(scratch), progress, fetch or fetch_with_jgo)
    except OSError as error:
        raise CacheUnusable(
            f"cannot keep Kafka's jars in {cache_dir}: {error.strerror or error}. Make that directory"
            " writable (it needs 90 MB while downloading), or set ALSOBOUGHT_CACHE_DIR to another one."
        ) from error
    return jars


def faults(directory: Path, wanted: JarSet) -> list[str]:
    """Return what is wrong with the jars of a directory, one line for each; empty if all are as pinned."""
    lines = []
    for name, expected in sorted(wanted.sums.items()):
        try:
            found = _sha256(directory / name)
        except FileNotFoundError:
            lines.append(f"{name} is missing")
            continue
        if found != expected:
            lines.append(f"{name} has SHA-256 {found}, expected {expected}")
    return lines


def installed_jars(kafka_home: Path) -> list[Path]:
    """Return the jars of an installed Kafka: everything in its libs/ (not checked: they are the user's)."""
    jars = sorted((kafka_home / "libs").glob("*.jar"))
    if not any(jar.name.startswith("kafka_") for jar in jars):
        raise KafkaHomeUnusable(
            f"no Kafka in {kafka_home}: {kafka_home / 'libs'} has no kafka_*.jar. Set ALSOBOUGHT_KAFKA_HOME"
            " to the directory an Apache Kafka archive was unpacked into, or unset it to download Kafka."
        )
    return jars


def fetch_with_jgo(wanted: JarSet, scratch: Path, progress: OnProgress) -> Iterator[Path]:
    """Resolve and download a set's endpoints with jgo, into a repository of its own under `scratch`.

    The user's own Maven repository is neither read nor written: a jar damaged there would be
    refused here at every start.
    """
    # Imported here: only the first start needs it, and it is slow to import.
    from jgo.env import EnvironmentBuilder, LinkStrategy
    from jgo.maven import MavenContext, PythonResolver

    started: set[str] = set()
    progress("", 0, len(wanted.sums))

    @contextlib.contextmanager
    def downloading(name: str, _size_bytes: int) -> Iterator[Callable[[int], None]]:
        if name in wanted.sums:
            progress(name, len(started), len(wanted.sums))
            started.add(name)
        yield lambda _count: None

    for endpoint in wanted.endpoints:
        context = MavenContext(
            resolver=PythonResolver(progress_callback=downloading), repo_cache=scratch / "repository"
        )
        builder = EnvironmentBuilder(context=context, cache_dir=scratch, link_strategy=LinkStrategy.AUTO)
        # jgo sorts them into a class path and a module path; Kafka runs with all on the class path.
        yield from builder.from_endpoint(endpoint).all_jars
    progress("", len(wanted.sums), len(wanted.sums))


def _fill(final: Path, wanted: JarSet, scratch: Path, progress: OnProgress, fetch: Fetch) -> None:
    staging = scratch / "staging"
    staging.mkdir()
    try:
        for jar in fetch(wanted, scratch, progress):
            if jar.name in wanted.sums:
                shutil.copyfile(jar, staging / jar.name)
    # The libraries below raise whatever they like (requests, XML, RuntimeError); all mean the same here.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
            raise  # the cache's, not the network's
        raise DownloadFailed(
            f"could not download {', '.join(wanted.endpoints)} from Maven Central: {_reason(error)}. Check"
            " the network (HTTPS_PROXY is respected) and start again; or unpack an Apache Kafka archive and"
            " set ALSOBOUGHT_KAFKA_HOME to it; or set ALSOBOUGHT_KAFKA to a Kafka that runs elsewhere."
        ) from error
    wrong = faults(staging, wanted)
    if wrong:
        raise JarRefused(
            f"the downloaded jars of {wanted.name} are not those this release was tested with:"
            f" {'; '.join(wrong)}. Nothing was kept. Start again; if it repeats, a proxy or mirror alters"
            " downloads: ask its keeper, or set ALSOBOUGHT_KAFKA_HOME to a Kafka you trust."
        )
    if final.exists():
        os.replace(final, scratch / "replaced")
    os.replace(staging, final)


def _reason(error: Exception) -> str:
    """Return the innermost cause in a line: libraries wrap it in layers that repeat one another."""
    seen: BaseException = error
    while seen.__cause__ or seen.__context__:
        seen = seen.__cause__ or seen.__context__ or seen
    first, *_ = str(seen).splitlines() or [""]
    return f"{type(seen).__name__}: {first[:200]}"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by closing, and by any death of this process
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
