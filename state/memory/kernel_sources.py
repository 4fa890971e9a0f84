"""What a kernel is compiled from: its own file, and those from which it has other kernels and constants.

Numba compiles kernels that are called, and constants, into the caller, but compares only the caller's own
file with what it keeps. After a change elsewhere (`git pull`, or an edit) it would run the old code. And
where a type has moved to another module, numba fails at what it kept, since it looks for the type first.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

from numba.core.caching import IndexDataCacheFile

Stamp = tuple[tuple[str, float, int], ...]
"""Names of modules, with the time of the last change and the size of their files."""

SHARED = "site-packages", "dist-packages"  # folders of all distributions

_IMPORTS = re.compile(r"^(?:from ([\w.]+) import (\([^)]*\)|[^\n]*)|import ([\w.]+))", re.MULTILINE)
_NAMES = re.compile(r"\w+")


class KeptKernels(IndexDataCacheFile):  # type: ignore[misc]
    """What numba keeps of a kernel: nothing that can be used, if it names types that are no longer there."""

    def _load_index(self) -> dict[Any, str]:
        try:
            return cast("dict[Any, str]", super()._load_index())
        except (ImportError, AttributeError):
            return {}


def stamp_of(function: Callable[..., Any]) -> Stamp:
    """Return a value that is another one if the kernel must be compiled anew.

    The modules that the kernel's module imports must have been imported.
    """
    found: set[str] = set()
    _collect(function.__module__, found)
    return tuple((name, *_file(name)) for name in sorted(found))


def _collect(name: str, found: set[str]) -> None:
    if name not in found:
        found.add(name)
        for imported in _imports(name):
            _collect(imported, found)


@cache
def _file(name: str) -> tuple[float, int]:
    status = os.stat(str(sys.modules[name].__file__))
    return status.st_mtime, status.st_size


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Return the modules of this project that a module imports at its top level."""
    root, text = _root(name), Path(str(sys.modules[name].__file__)).read_text(encoding="utf-8")
    return tuple(
        imported
        for imported in dict.fromkeys(_names_in(text))
        if imported.partition(".")[0] == name.partition(".")[0] or _root(imported) == root
    )


def _names_in(text: str) -> Iterator[str]:
    """Yield the modules that have been imported, of those that a source may name.

    >>> list(_names_in("import os.path\\nfrom collections import (\\n    abc,\\n    deque,\\n)\\n"))
    ['os.path', 'collections', 'collections.abc']
    """
    for match in _IMPORTS.finditer(text):
        package, names, module = match.groups()
        for one in (module or package, *(f"{package}.{name}" for name in _NAMES.findall(names or ""))):
            if getattr(sys.modules.get(one), "__file__", None):
                yield one


def _root(name: str) -> Path | None:
    """Return the folder from which a module is imported; None where other distributions are, too."""
    file = Path(str(sys.modules[name].__file__))
    folder = (file.parent if file.name == "__init__.py" else file).parents[name.count(".")]
    return None if folder.name in SHARED else folder
