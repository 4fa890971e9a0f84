"""A kernel is compiled anew when a file changes from which it has a constant or another kernel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FILES = {
    "shop/__init__.py": "",
    "shop/numbers.py": "STEP = 1\n",
    "shop/unrelated.py": "OTHER = 1\n",
    "shop/adding.py": (
        "from shop.numbers import (\n    STEP,\n)\nfrom state.memory.arrays import kernel\n"
        "@kernel\ndef add(x):\n    return x + STEP\n"
    ),
    "shop/twice.py": (
        "from shop import adding\nfrom state.memory.arrays import kernel\n"
        "@kernel\ndef twice(x):\n    return adding.add(adding.add(x))\n"
    ),
}
RUN = """
from state.compile import counting_compilations
import shop.unrelated
from shop.twice import twice
with counting_compilations() as compiled:
    print(twice(1), compiled.count)
"""


def run(folder: Path) -> tuple[int, bool]:
    """Return what the kernel returns, and whether anything was compiled."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "NUMBA_CACHE_DIR": str(folder / "kernels")}
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True
    )
    value, compiled = done.stdout.split()
    return int(value), int(compiled) > 0


@pytest.mark.parametrize(
    ("file", "old", "new", "value"),
    [
        ("shop/numbers.py", "1", "10", 21),
        ("shop/adding.py", "x + STEP", "x * 4 + STEP", 21),
        ("shop/twice.py", "adding.add(adding.add(x))", "adding.add(x)", 2),
    ],
)
def test_a_kernel_is_compiled_from_what_its_files_say_now(
    tmp_path: Path, file: str, old: str, new: str, value: int
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert run(tmp_path) == (3, True)
    (tmp_path / "shop" / "unrelated.py").write_text("OTHER = 20\n")
    assert run(tmp_path) == (3, False)
    (tmp_path / file).write_text(FILES[file].replace(old, new))
    assert run(tmp_path) == (value, True)
    assert run(tmp_path) == (value, False)


def test_what_was_kept_of_a_type_that_has_moved_is_compiled_anew(tmp_path: Path) -> None:
    """So it is after an update that moves a named tuple to another module, and after going back."""
    pair = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    left: int\n    right: int\n"
    takes = "@kernel\ndef twice(x):\n    return add(Pair(x, x))\n"
    add = "@kernel\ndef add(pair):\n    return pair.left + pair.right\n"
    head = "from state.memory.arrays import kernel\n"
    (tmp_path / "shop").mkdir()
    for name in ("__init__", "unrelated"):
        (tmp_path / "shop" / f"{name}.py").write_text("")
    for module in ("pairs", "couples", "pairs"):
        (tmp_path / "shop" / f"{module}.py").write_text(pair)
        uses = f"{head}from shop.{module} import Pair\n"
        (tmp_path / "shop" / "adding.py").write_text(head + add)
        (tmp_path / "shop" / "twice.py").write_text(f"{uses}from shop.adding import add\n{takes}")
        assert run(tmp_path) == (2, True)
        assert run(tmp_path) == (2, False)
        (tmp_path / "shop" / f"{module}.py").unlink()
