"""Where a worker keeps its compiled kernels when it may not write where they are.

Numba only uses a cache that it may write to, and a worker that finds none does not start. So where the file
system is read-only, as an image's should be, the kernels that were compiled with the image are copied to the
data directory. What is compiled for another processor is then kept there, too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import state
from alsobought.options import CommandError

VARIABLE = "NUMBA_CACHE_DIR"
FOLDER = "kernels"
PARTIAL = ".partial"
DIGITS = 16


def with_kernels(environment: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """Return the environment of a worker, with a cache of kernels that it may write to.

    Raises
    ------
    CommandError
        The kernels cannot be copied to the data directory.
    """
    named = environment.get(VARIABLE)
    there = Path(named) if named else Path(state.__file__).parent / "__pycache__"
    if _can_write(there):
        return dict(environment)
    try:
        kept = _copied(there, data_dir / FOLDER) if named and there.is_dir() else data_dir / FOLDER / "own"
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"cannot keep compiled kernels in {data_dir / FOLDER}: {error.strerror or error}. Repair its"
            f" permissions, or set {VARIABLE} to a directory that this user may write to."
        ) from error
    return {**environment, VARIABLE: str(kept)}


def _can_write(folder: Path) -> bool:
    """Return whether files can be made in a folder, or in the first above it that exists."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(there, os.W_OK | os.X_OK)


def _copied(prebuilt: Path, to: Path) -> Path:
    """Copy kernels once; copies of others, from before an upgrade, are removed."""
    files = sorted(path for path in prebuilt.rglob("*") if path.is_file())
    listed = [f"{path.relative_to(prebuilt)} {(s := path.stat()).st_size} {s.st_mtime_ns}" for path in files]
    kept = to / hashlib.sha256("\n".join(listed).encode()).hexdigest()[:DIGITS]
    if not kept.exists():
        partial = to / f"{uuid.uuid4().hex}{PARTIAL}"
        shutil.copytree(prebuilt, partial, copy_function=shutil.copyfile)
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)  # those of a read-only image may not be writable
        try:
            partial.rename(kept)
        except OSError:
            if not kept.exists():
                raise
            shutil.rmtree(partial)  # another process on the same directory was faster
        for other in to.iterdir():
            if other != kept and not other.name.endswith(PARTIAL):
                shutil.rmtree(other, ignore_errors=True)
    return kept
