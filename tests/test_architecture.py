"""The folders are the architecture: each imports only what is below it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FORBIDDEN = {
    # deterministic: no Kafka, no clock, no randomness, nothing that waits
    "state": {
        "kafka", "aiokafka", "faust", "mode", "time", "random", "secrets", "datetime", "asyncio", "threading",
        "pydantic", "aiohttp", "streams", "alsobought", "tests",
    },
    "streams": {"alsobought", "tests"},
    "streams/broker": {"state", "alsobought", "faust", "tests"},
    "alsobought": {"tests"},
}  # fmt: skip


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_downwards(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in _imports(path)
        if name.split(".")[0] in FORBIDDEN[folder]
    ]
    assert wrong == []


def test_state_needs_few_packages() -> None:
    used = {name.split(".")[0] for path in (ROOT / "state").rglob("*.py") for _, name in _imports(path)}
    assert used - set(sys.stdlib_module_names) <= {
        "numpy", "numba", "llvmlite", "msgspec", "rocksdict", "xxhash", "state"
    }  # fmt: skip
