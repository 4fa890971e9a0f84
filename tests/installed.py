"""Run tests against the wheel as it is installed, under the one name: `python -m tests.installed PYTEST...`.

The wheel is built and unpacked, and tests/ and bench/ are copied beside it with the same names rewritten. The
repository's own folders are not there, so tests that read them cannot pass: `make package` runs those that
compute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from pathlib import Path

from hatch_build import Names, rewrite

ROOT = Path(__file__).parent.parent
COPIED = ("tests", "bench")
BEGIN = """
import sys
sys.path[:] = [path for path in sys.path if path]
sys.path[:0] = [{here!r}]
sys.path += {packages!r}
import alsobought.state, pytest
assert alsobought.__file__.startswith({here!r}), alsobought.__file__
sys.exit(pytest.main(sys.argv[1:]))
"""


def lay_out(folder: Path) -> None:
    """Put the unpacked wheel, and the rewritten tests, into a folder."""
    command = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (folder / "dist").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    sources = project["tool"]["hatch"]["build"]["targets"]["wheel"]["sources"]
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in sources
        for path in (ROOT / package).rglob("*.py")
    }
    names = Names({old: new.replace("/", ".") for old, new in sources.items()}, modules)
    for copied in COPIED:
        shutil.copytree(ROOT / copied, folder / copied, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (folder / copied).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            path.write_text(rewrite(source, names, str(path.relative_to(folder))), encoding="utf-8")
    shutil.copy(ROOT / "pyproject.toml", folder)


def main() -> int:
    """Run pytest with the arguments of the command; return its status."""
    packages = list(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    with tempfile.TemporaryDirectory(prefix="alsobought-installed-") as name:
        folder = Path(name)
        lay_out(folder)
        program = BEGIN.format(here=name, packages=packages)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([name, *packages])}
        command = [sys.executable, "-S", "-P", "-c", program, "-q", "-n0", *sys.argv[1:]]
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
