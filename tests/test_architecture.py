"""The folders are the architecture: each imports only what is below it."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FORBIDDEN = {
    # deterministic: no Kafka, no clock, no randomness, nothing that waits
    "state": {
        "kafka", "aiokafka", "faust", "mode", "time", "random", "secrets", "datetime", "asyncio", "threading",
        "pydantic", "aiohttp", "chronological", "streams", "serving", "evaluation", "alsobought", "tests",
    },
    # arrays in, weights out; the randomness it needs is drawn from seeds
    "chronological": {
        "kafka", "aiokafka", "faust", "mode", "time", "random", "secrets", "datetime", "asyncio", "threading",
        "pydantic", "aiohttp", "pickle", "state", "streams", "serving", "evaluation", "alsobought", "tests",
    },
    "streams": {"serving", "evaluation", "alsobought", "tests"},
    "streams/broker": {"state", "serving", "evaluation", "alsobought", "faust", "tests"},
    "serving": {"alsobought", "faust", "evaluation", "tests"},
    "evaluation": {"streams", "serving", "alsobought", "kafka", "aiokafka", "faust", "tests"},
    "alsobought": {"tests"},
}  # fmt: skip


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""


ALLOWED = {
    # the locks of what several threads fill and read
    "recommending/list_view.py": {"threading"},
    "state/popularity/view.py": {"threading"},
}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_downwards(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in _imports(path)
        if name.split(".")[0] in FORBIDDEN[folder] - ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
    ]
    assert wrong == []


def test_state_needs_few_packages() -> None:
    used = {name.split(".")[0] for path in (ROOT / "state").rglob("*.py") for _, name in _imports(path)}
    assert used - set(sys.stdlib_module_names) <= {
        "numpy", "numba", "llvmlite", "msgspec", "rocksdict", "xxhash", "crc32c", "state"
    }  # fmt: skip


def test_every_consumer_is_made_where_it_is_told_to_read_committed_records_only() -> None:
    """kafka-python's consumer lacks codecs besides; readers of lists, commands and pages are aiokafka's."""
    folders = ("state", "chronological", "streams", "serving", "evaluation", "alsobought")
    making = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "KafkaConsumer" in path.read_text(encoding="utf-8").replace("KafkaConsumerThread", "")
    }
    assert set(making) == {"streams/kafka/readers.py", "streams/kafka/transport.py"}
    assert all("isolation_level=ISOLATION" in text for text in making.values())


def test_every_doctest_is_run() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    run = [ROOT / path for path in config["tool"]["pytest"]["ini_options"]["testpaths"]]
    folders = ("state", "chronological", "streams", "serving", "evaluation", "alsobought", "bench")
    missed = [
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if ">>> " in path.read_text(encoding="utf-8") and not any(path.is_relative_to(one) for one in run)
    ]
    assert missed == []
    assert all(path.exists() for path in run)
