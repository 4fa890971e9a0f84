"""The folders are the architecture: each imports only what is below it."""

from __future__ import annotations

import ast
import re
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
        "topics", "kafka_settings kinds settings_sources", "settings", "process", "connections rights",
        "broker doors messages", "kafka", "stores", "tasks", "worker", "health http_metrics metrics",
        "queries faust_app", "app recommending", "compile",
    ],
    "alsobought": [
        "bars holding loading place saying signals tables", "options", "clients local sources",
        "publish_options",
        "advising draining evaluating kernels meter refused restoring status training",
        "deployments doctor rebuilding",
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


DESCRIBED = ("state", "recommending", "chronological", "streams", "serving", "evaluation", "alsobought")


@pytest.mark.parametrize("package", DESCRIBED)
def test_the_docstring_of_a_folder_names_everything_in_it(package: str) -> None:
    missed = []
    for folder in sorted(path.parent for path in (ROOT / package).rglob("__init__.py")):
        said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        there = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
        there |= {path.parent.name for path in folder.glob("*/__init__.py")}
        missed += [
            f"{folder.relative_to(ROOT)}: {name}" for name in sorted(there - set(re.findall(r"\w+", said)))
        ]
    assert missed == []


def test_state_needs_few_packages() -> None:
    used = {name.split(".")[0] for path in (ROOT / "state").rglob("*.py") for _, name in _imports(path)}
    assert used - set(sys.stdlib_module_names) <= {
        "numpy", "numba", "llvmlite", "msgspec", "rocksdict", "xxhash", "crc32c", "state"
    }  # fmt: skip


CLIENTS = {
    "AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaClient", "AIOKafkaAdminClient", "KafkaConsumer",
    "KafkaProducer", "KafkaAdminClient", "KafkaClient", "KafkaNetClient", "KafkaConnectionManager",
    "AIOKafkaConnection", "create_conn",
}  # fmt: skip
"""What connects to Kafka in both libraries."""

MAKES_CLIENTS = "streams/connections/clients.py"


def _named(path: Path) -> set[str]:
    """Every name that a file's code has, of modules, attributes and imports, but not in its texts."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


def test_one_module_makes_all_clients_of_kafka() -> None:
    """So all of them are secured by the settings, and every consumer reads committed records only."""
    folders = ("state", "recommending", "chronological", "streams", "serving", "evaluation", "alsobought")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    naming = {path.relative_to(ROOT).as_posix() for path in paths if _named(path) & CLIENTS}
    assert naming == {MAKES_CLIENTS}
    made = _named(ROOT / MAKES_CLIENTS) & CLIENTS
    assert made == {
        "AIOKafkaConsumer", "AIOKafkaProducer", "KafkaProducer", "KafkaAdminClient", "AIOKafkaConnection",
    }  # fmt: skip
    assert "isolation_level=ISOLATION" in (ROOT / MAKES_CLIENTS).read_text(encoding="utf-8")


def _late_types(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    inside = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name != "decoder"
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = [ast.unparse(one.value) for one in node.keywords if one.arg == "type"]
        given += [ast.unparse(one) for one in node.args[1:]]
        typed = called in {"msgspec.json.decode", "msgspec.convert"} and given
        made = node in inside and called in {"msgspec.json.Decoder", "decoder"}
        if made or (typed and not given[0].startswith("dict[str, ")):
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {called}"


def test_types_of_messages_are_read_when_modules_are_imported() -> None:
    """Two threads that use a Struct for the first time at once end the process in msgspec 0.22: the second
    one finds a description of the type that the first is still making.
    """
    packages = [name for name in FORBIDDEN if "/" not in name]
    found = [late for name in packages for path in (ROOT / name).rglob("*.py") for late in _late_types(path)]
    assert found == []


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
