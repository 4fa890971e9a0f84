"""The README is followed as a newcomer would: `make demo` in a clean clone, and its programs."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.broker.embedded import EmbeddedKafka
from tests.conftest import STEP_BACK
from tests.streams.pipeline import Wires, Worker

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def clone_of_what_is_committed(folder: Path) -> None:
    """Clone the repository; the clone uses our packages and, where files are the same, our compiled kernels.

    `make setup` is not run in the clone: this test runs in an environment that it has made.
    """
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    for path in folder.rglob("*.py"):
        ours = ROOT / path.relative_to(folder)
        if filecmp.cmp(path, ours, shallow=False):
            # numba keeps kernels by this time
            os.utime(path, ns=(ours.stat().st_atime_ns, ours.stat().st_mtime_ns))
    for package in (ROOT / "state", ROOT / "recommending", ROOT / "streams"):
        for kernel in package.rglob("__pycache__/*.nb[ic]"):
            to = folder / kernel.relative_to(ROOT)
            to.parent.mkdir(exist_ok=True)
            shutil.copy2(kernel, to)
    (folder / ".venv").symlink_to(ROOT / ".venv")


@pytest.mark.timeout(600)
def test_make_demo_in_a_clean_clone(tmp_path: Path) -> None:
    clone = tmp_path / "alsobought"
    clone_of_what_is_committed(clone)
    assert "make demo" in README
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ALSOBOUGHT_")}
    environment |= {"PYTHONPATH": str(clone), "TMPDIR": str(tmp_path), STEP_BACK: "false"}
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import alsobought, state, streams; print(state.__file__)"],
        cwd=clone, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout == f"{clone}/state/__init__.py\n"
    done = subprocess.run(
        ["make", "demo", "--assume-old=.venv/ready", "DEMO=--limit 30000"],
        cwd=clone, env=environment, capture_output=True, text=True, timeout=540,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    answer = done.stdout + done.stderr
    assert re.search(r"the page is at http://127\.0\.0\.1:\d+", answer)
    assert re.search(r"^ *[\d.]+ s  Bananas.* goes with: ", done.stdout, re.MULTILINE)
    assert re.search(r"first lists moved after [\d.]+ s", answer)
    assert re.search(r"events/s", answer)
    assert re.search(r"p50 [\d,]+ ms, p99 [\d,]+ ms", answer)
    assert len(re.findall(r"^item +title +score +together +expected", done.stdout, re.MULTILINE)) == 5
    assert "by raw count" in done.stdout
    assert "Bananas" in done.stdout
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_readme_programs(new_kafka: Callable[[], EmbeddedKafka], tmp_path: Path) -> None:
    publish, consume = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    kafka = new_kafka()
    worker, wires = Worker(kafka.bootstrap, tmp_path / "data"), Wires(kafka.bootstrap)
    try:
        program = publish.replace("localhost:9092", kafka.bootstrap.servers)
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
        wires.drain()
        program = consume.replace("localhost:9092", kafka.bootstrap.servers)
        command = [sys.executable, "-u", "-c", program]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            lines: set[str] = set()  # a list may be published more than once
            while len(lines) < 2:
                lines.add(line := reader.stdout.readline())
                assert line, "the program ended"
            reader.kill()
    finally:
        wires.close()
        assert worker.stop() == 0
    assert sorted(lines) == ["milk [('tea', 2)]\n", "tea [('milk', 2)]\n"]
