"""Where a local stack is found: a file in its data directory that says its address and processes.

It is only believed while the program that wrote it lives, so a crash leaves nothing to clean up.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil


class Place:
    """The file DIR/stack.json of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.file = self.data_dir / "stack.json"
        self.logs = self.data_dir / "logs"

    def write(self, bootstrap: str, workers: list[int] | None, recommenders: list[int] | None = None) -> None:
        """Say where this process's stack is, and the process ids of its workers and recommenders.

        None if it runs none.
        """
        me = psutil.Process()
        content = {
            "bootstrap": bootstrap,
            "pid": me.pid,
            "started": me.create_time(),
            "workers": workers,
            "recommenders": recommenders,
        }
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(content), encoding="ascii")
        new.replace(self.file)

    def clear(self) -> None:
        """The stack of this process has ended."""
        if self.read().get("pid") == os.getpid():
            self.file.unlink(missing_ok=True)

    def read(self) -> dict[str, Any]:
        """Return what the file says if its program lives, else nothing."""
        try:
            content: dict[str, Any] = json.loads(self.file.read_text(encoding="ascii"))
            if psutil.Process(content["pid"]).create_time() == content["started"]:
                return content
        except (OSError, ValueError, KeyError, psutil.Error):
            pass
        return {}

    def has_workers(self) -> bool:
        """Return whether a stack runs here that has workers, or starts them again."""
        return self.read().get("workers") is not None

    def bootstrap(self) -> str | None:
        """Return the address of the Kafka that runs here, None without one."""
        found = self.read().get("bootstrap")
        return str(found) if found else None
