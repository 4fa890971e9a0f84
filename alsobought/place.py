"""Where a local stack is found: a file in its data directory with its address and processes.

The file counts only while the program that wrote it lives, so a crash leaves nothing to clean up.
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
        """Write the address of this process's stack, and the process ids of its workers and recommenders.

        The ids are None if it runs none.
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
        """Remove the file, as the stack of this process has ended."""
        if self.read().get("pid") == os.getpid():
            self.file.unlink(missing_ok=True)

    def read(self) -> dict[str, Any]:
        """Return the content of the file if its program lives, otherwise nothing."""
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
