"""The programs in examples/ publish purchases to a real worker, and print the lists that follow from them.

Those in Python and Java always run; those in JavaScript and Go when `make examples` has fetched what they
need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.broker.embedded import EmbeddedKafka
from streams.broker.jars import ensure_jars
from streams.broker.java import bundled_java, find_java
from streams.kafka.follower import read_all
from streams.messages.partitioning import partition_for
from streams.settings import Settings
from streams.topics import PURCHASES
from tests.streams.pipeline import PARTITIONS, Wires, Worker

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
BUILT = ROOT / "build" / "examples"

pytestmark = pytest.mark.timeout(240)

ZSTD = "process.exit(require('zlib').zstdDecompressSync ? 0 : 1)"

Command = Callable[[str], list[str]]


def python(program: str) -> list[str]:
    return [sys.executable, "-u", str(EXAMPLES / "python-confluent" / f"{program}.py")]


def java(program: str) -> list[str]:
    found = find_java(bundled=bundled_java()).path
    modules = subprocess.run([found, "--list-modules"], capture_output=True, text=True, check=True).stdout
    if "jdk.compiler" not in modules:
        pytest.skip("this Java has no compiler")
    jars = ensure_jars(Settings.model_validate({}).cache_dir)
    return [
        str(found),
        "-cp",
        os.pathsep.join(map(str, jars)),
        str(EXAMPLES / "java" / f"{program.title()}.java"),
    ]


def javascript(program: str) -> list[str]:
    node = shutil.which("node")
    if node is None or not (EXAMPLES / "javascript" / "node_modules" / ".ready").exists():
        pytest.skip("run `make examples` first, with Node.js")
    if program == "consume" and subprocess.run([node, "-e", ZSTD], check=False).returncode:
        pytest.skip("published; to read what is compressed with zstd, Node.js 22.15 or newer is needed")
    return [node, str(EXAMPLES / "javascript" / f"{program}.js")]


def go(program: str) -> list[str]:
    binary = BUILT / f"go-{program}"
    if not binary.exists():
        pytest.skip("run `make examples` first, with Go")
    return [str(binary)]


@pytest.fixture(scope="module")
def wires(
    new_kafka: Callable[[], EmbeddedKafka], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wires]:
    kafka = new_kafka()
    worker, wires = Worker(kafka.bootstrap, tmp_path_factory.mktemp("worker")), Wires(kafka.bootstrap)
    try:
        yield wires
    finally:
        worker.stop()
        wires.close()


@pytest.mark.parametrize("language", [python, java, javascript, go], ids=lambda of: str(of.__name__))
def test_what_one_publishes_the_other_reads(language: Command, wires: Wires, tmp_path: Path) -> None:
    servers, before = wires.bootstrap.servers, len(list(read_all(wires.bootstrap, PURCHASES)))
    done = subprocess.run(
        [*language("publish"), servers], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    published = list(read_all(wires.bootstrap, PURCHASES))
    assert len(published) == before + 5
    for row in published:  # every client agrees about the partition of a key
        assert row.key is not None
        assert row.partition == partition_for(row.key, PARTITIONS)
    wires.drain()
    errors = tmp_path / "errors"
    with (
        errors.open("w") as file,
        subprocess.Popen(
            [*language("consume"), servers], stdout=subprocess.PIPE, stderr=file, text=True
        ) as reader,
    ):
        assert reader.stdout is not None
        lines: dict[str, str] = {}
        while not ("milk" in lines.get("tea", "") and "tea" in lines.get("milk", "")):
            line = reader.stdout.readline()
            assert line, f"the program ended: {errors.read_text()}"
            item, _, rest = line.partition(" ")
            lines[item] = rest
        reader.kill()
