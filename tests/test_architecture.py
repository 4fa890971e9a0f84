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
    # it is deterministic: no Kafka, no clock, no randomness, nothing that waits
    "state": {
        "kafka", "aiokafka", "faust", "mode", "time", "random", "secrets", "datetime", "asyncio", "threading",
        "pydantic", "aiohttp", "recommending", "chronological", "streams", "serving", "evaluation",
        "alsobought", "tests",
    },
    "recommending": {
        "kafka", "aiokafka", "faust", "mode", "time", "random", "secrets", "datetime", "asyncio", "threading",
        "pydantic", "aiohttp", "chronological", "streams", "serving", "evaluation", "alsobought", "tests",
    },
    # arrays in, weights out; the randomness it needs is drawn from seeds
    "chronological": {
        "kafka", "aiokafka", "faust", "mode", "time", "random", "secrets", "datetime", "asyncio", "threading",
        "pydantic", "aiohttp", "pickle", "state", "recommending", "streams", "serving", "evaluation",
        "alsobought", "tests",
    },
    "streams": {"serving", "evaluation", "alsobought", "tests"},
    "streams/broker": {"state", "serving", "evaluation", "alsobought", "faust", "tests"},
    "serving": {"alsobought", "faust", "evaluation", "tests"},
    "evaluation": {"streams", "serving", "alsobought", "kafka", "aiokafka", "faust", "tests"},
    "alsobought": {"tests"},
}  # fmt: skip


ROOMS = {
    # each line imports only from lines above it
    "state": [
        "errors", "settings storage", "memory", "messages relatedness", "customers", "popularity",
        "items watched_bought catalogue", "compile",
    ],
    "streams": [
        "topics", "kinds settings_sources", "settings", "broker doors messages process", "kafka", "stores",
        "tasks", "worker", "health http_metrics metrics", "queries faust_app", "app recommending", "compile",
    ],
    "alsobought": [
        "bars holding loading place signals tables", "options", "clients local sources", "publish_options",
        "draining evaluating meter recommending refused restoring status training", "doctor rebuilding",
        "commands", "demo", "cli",
    ],
}  # fmt: skip


def _imports(path: Path, *, types: bool = True) -> Iterator[tuple[int, str]]:
    """Yield lines and names of imports; without `types`, leave out imports for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if types else _run(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes, without those that only a type checker reads."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _run(child)


ALLOWED = {
    # the locks of objects that several threads fill and read
    "recommending/related_lists.py": {"threading"},
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


def _room(name: str, package: str) -> str | None:
    """Return the room of a dotted name of a package; None for the package itself and for other packages."""
    first, _, rest = name.partition(".")
    return rest.partition(".")[0] or None if first == package else None


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_from_rooms_above_them(package: str) -> None:
    floor = {room: n for n, line in enumerate(ROOMS[package]) for room in line.split()}
    room_of = {
        path: path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path != ROOT / package / "__init__.py"
    }
    assert set(room_of.values()) == set(floor)
    wrong = []
    for path, room in room_of.items():
        for line, name in _imports(path, types=False):
            other = _room(name, package)
            if other is not None and other != room and floor[other] >= floor[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_state_needs_few_packages() -> None:
    used = {name.split(".")[0] for path in (ROOT / "state").rglob("*.py") for _, name in _imports(path)}
    assert used - set(sys.stdlib_module_names) <= {
        "numpy", "numba", "llvmlite", "msgspec", "rocksdict", "xxhash", "crc32c", "state"
    }  # fmt: skip


def test_every_consumer_is_made_where_it_is_set_to_read_committed_records_only() -> None:
    """kafka-python's consumer also lacks codecs, so all readers of topics use aiokafka's."""
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
