"""How Kafka's main classes are run: the command line, the environment, and formatting the storage."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from streams.broker.datadir import BrokerDir
from streams.broker.errors import BrokerDied

HUGE_PAGES = ("-XX:+UseTransparentHugePages",) if sys.platform == "linux" else ()  # refused elsewhere
"""For the heap and for compiled code; see `streams.process.heap`."""


@dataclass(frozen=True)
class Jvm:
    """A Java program and the jars it runs with."""

    java: Path
    class_path: tuple[Path, ...]

    def command(self, logs: Path, flags: tuple[str, ...], main: str, *arguments: str) -> list[str]:
        """Return the command that runs a main class, logging into the directory `logs`."""
        config = Path(__file__).with_name("log4j2.properties")
        return [
            str(self.java),
            "-XX:+UseSerialGC",  # a small heap on few cores: nothing for parallel collectors to win
            "-XX:-UsePerfData",  # nobody reads its counters, which a thread samples twenty times a second
            *HUGE_PAGES,
            "-Djava.awt.headless=true",
            f"-Dalsobought.logs={logs}",
            f"-Dlog4j2.configurationFile={config.as_uri()}",
            *flags,
            "-cp",
            os.pathsep.join(str(jar.absolute()) for jar in self.class_path),
            main,
            *arguments,
        ]

    @staticmethod
    def environ() -> dict[str, str]:
        """Return our environment in a UTF-8 locale: else Java opens only files with ASCII names."""
        return {**os.environ, "LC_ALL": "C.UTF-8"}


def format_storage(jvm: Jvm, place: BrokerDir, timeout_s: float) -> None:
    """Give the broker's data directory a new cluster id and Kafka's first records.

    Raises
    ------
    BrokerDied
    """
    # C1 only: this JVM lives for a second.
    flags = ("-XX:TieredStopAtLevel=1",)
    config = ("--config", str(place.properties), "--cluster-id", _cluster_id())
    command = jvm.command(
        place.logs, flags, "kafka.tools.StorageTool", "format", "--ignore-formatted", *config
    )
    try:
        done = subprocess.run(
            command,
            cwd=place.root,
            env=jvm.environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=max(timeout_s, 0.1),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerDied(
            f"Kafka did not format its storage in {place.data} within {error.timeout:.0f} s: the machine is"
            " too busy or the disk too slow. Start again with a longer timeout."
        ) from error
    if done.returncode != 0:
        raise BrokerDied(
            f"Kafka could not format its storage in {place.data} (exit status {done.returncode}). Repair what"
            f" it says here, then start again:\n{done.stdout}{done.stderr}"
        )


def _cluster_id() -> str:
    """Return 16 random bytes in URL-safe base 64, as Kafka writes its ids."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass  # the tool would take it for an option
    return text
