"""The broker's part of the data directory: its files, who owns it, and the ports it had last.

<data_dir>/broker/
  lock                 held while a broker lives (flock), with who holds it as JSON
  ports.json           the ports last used, so that a restart keeps the address
  server.properties    written anew at every start
  data/                Kafka's own
  logs/                broker.log (rolling), console.log (what the JVM itself says)
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO, Any

import psutil

from streams.broker.errors import DataDirBusy, DataDirUnusable, PortTaken
from streams.broker.ports import free_port, is_free
from streams.broker.properties import HOST


class BrokerDir:
    """Paths, lock and ports of one embedded broker."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir.absolute() / "broker"
        self.data = self.root / "data"
        self.logs = self.root / "logs"
        self.log = self.logs / "broker.log"
        self.console = self.logs / "console.log"
        self.properties = self.root / "server.properties"
        self._ports = self.root / "ports.json"

    @property
    def formatted(self) -> bool:
        """Whether Kafka's storage has been initialised."""
        return (self.data / "meta.properties").exists()

    def acquire(self, patience_s: float) -> IO[str]:
        """Make the directories and take the lock: closing every copy of the returned file releases it.

        A broker whose program is dead is on its way out (see guard.py) and is waited for up to `patience_s`.

        Raises
        ------
        DataDirBusy, DataDirUnusable
        """
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(exist_ok=True)
            lock = (self.root / "lock").open("a+")
        except OSError as error:
            raise DataDirUnusable(
                f"cannot keep the broker's data in {self.root}: {error.strerror}. Make it writable, or set"
                " ALSOBOUGHT_DATA_DIR to another directory."
            ) from error
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = _owner(lock)
                if psutil.pid_exists(owner.get("program", 0)) or time.monotonic() >= deadline:
                    lock.close()
                    raise DataDirBusy(
                        f"a broker (pid {owner.get('broker') or 'not known yet'}, at"
                        f" {owner.get('bootstrap') or 'an address not known yet'}) already works on"
                        f" {self.root}. Use it by setting ALSOBOUGHT_KAFKA to that address, or stop it, or"
                        " set ALSOBOUGHT_DATA_DIR to another directory for this one."
                    ) from None
                time.sleep(0.1)
            else:
                self.claim(lock, broker=None, bootstrap=None)
                return lock

    def claim(self, lock: IO[str], *, broker: int | None, bootstrap: str | None) -> None:
        """Write into the lock who holds it, for the error of whoever comes second."""
        lock.truncate(0)
        json.dump({"program": os.getpid(), "broker": broker, "bootstrap": bootstrap}, lock)
        lock.flush()

    def choose_ports(self, port: int) -> tuple[int, int]:
        """Return the ports of broker and controller: `port` if not 0, else those used last if still free.

        Raises
        ------
        PortTaken
        """
        last = _read_json(self._ports)
        if port and not is_free(port):
            raise PortTaken(
                f"port {port} of {HOST} is taken by another program. Stop that program (`lsof -i :{port}`"
                " names it), or ask for another port; 0 takes any free one."
            )
        broker = port or free_port(last.get("broker"), avoid=())
        controller = free_port(last.get("controller"), avoid=(broker,))
        return broker, controller

    def remember_ports(self, broker: int, controller: int) -> None:
        """Keep the ports for the next start."""
        self._ports.write_text(json.dumps({"broker": broker, "controller": controller}), encoding="ascii")

    def last_lines(self, count: int = 20) -> str:
        """Return the end of what the broker and its JVM wrote, indented."""
        lines = []
        for path in (self.log, self.console):
            if path.exists():
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        return "\n".join(f"    {line[:300]}" for line in lines) or "    (nothing)"


def _owner(lock: IO[str]) -> dict[str, Any]:
    lock.seek(0)
    return _parsed(lock.read())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def _parsed(text: str) -> dict[str, Any]:
    """Return the parsed JSON. Half-written text and text of others count as absent, because these files are
    hints.
    """
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
