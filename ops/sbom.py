"""Writes what a production install holds, as CycloneDX: `python ops/sbom.py PYTHON FILE`.

cyclonedx-bom reads the packages that PYTHON has, and checks the document against its schema. What is written
is then compared with requirements-run.lock: a package of the lock that PYTHON lacks, or another version, is
an error unless the lock has it for other systems only.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKED = re.compile(r"^([\w.-]+)==([^\s;\\]+)( *;)?", re.MULTILINE)
OURS = "alsobought"


def write(python: str, file: Path) -> dict[str, Any]:
    """Write the document, and return it."""
    command = [
        sys.executable, "-m", "cyclonedx_py", "environment", python,
        "--pyproject", str(ROOT / "pyproject.toml"),
        "--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible", "--validate",
        "--output-file", str(file),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def differences(document: dict[str, Any], lock: str) -> list[str]:
    """Return how the packages of a document differ from those of a lock."""
    found = {one["name"].lower().replace("_", "-"): one["version"] for one in document["components"]}
    locked: dict[str, set[str]] = {}
    optional = set()
    for name, version, marker in LOCKED.findall(lock):
        locked.setdefault(name, set()).add(version)
        if marker:
            optional.add(name)
    lines = [
        f"{name} {found.get(name, 'is missing')}, locked {' or '.join(sorted(versions))}"
        for name, versions in locked.items()
        if found.get(name) not in versions and not (name in optional and name not in found)
    ]
    return lines + [f"{name} is not in the lock" for name in sorted(found.keys() - locked.keys() - {OURS})]


def licences(component: dict[str, Any]) -> list[str]:
    """Return the licences of a package, as it names them."""
    return [
        one.get("expression") or one["license"].get("id") or one["license"].get("name", "?")
        for one in component.get("licenses", [])
        if one.get("expression") or one["license"].get("id") or "text" not in one["license"]
    ]


def main() -> None:
    """Write the document and print how many packages have which licence."""
    python, file = sys.argv[1], Path(sys.argv[2])
    document = write(python, file)
    lock = (ROOT / "requirements-run.lock").read_text(encoding="utf-8")
    if wrong := differences(document, lock):
        sys.exit("\n".join([f"{file} is not what requirements-run.lock has:", *wrong]))
    named = Counter(", ".join(licences(one)) or "not named" for one in document["components"])
    for licence, count in named.most_common():
        print(f"{count:4} {licence}")
    print(f"{file}: {len(document['components'])} packages, of CycloneDX {document['specVersion']}")


if __name__ == "__main__":
    main()
