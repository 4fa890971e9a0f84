"""How the embedded broker is configured: one node, loopback only, sized for a laptop."""

from __future__ import annotations

from collections.abc import Mapping

HOST = "127.0.0.1"

# Pair deltas are up to 16 MiB; a batch adds its headers.
LARGEST_MESSAGE_BYTES = 17 << 20

CLEANER_BYTES_PER_S = 20 << 20  # read and written


def server_properties(broker_port: int, controller_port: int, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the broker's properties; `extra` wins. Paths are relative to the working directory."""
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # Static voters: unlike a bootstrap server they may change, as the ports do when one is taken.
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{broker_port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{broker_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        # Relative, because Kafka would split an absolute path at its commas.
        "log.dirs": "data",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "message.max.bytes": str(LARGEST_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(LARGEST_MESSAGE_BYTES),
        # Otherwise the controller writes an empty record twice a second, even if nobody uses Kafka.
        "metadata.max.idle.interval.ms": "0",
        "log.cleaner.enable": "true",
        # The default of 128 MiB is a quarter of our heap; this still maps 1.3 million keys at a pass.
        "log.cleaner.dedupe.buffer.size": str(32 << 20),
        # Otherwise compacting takes most of a core for some ten seconds, and lists wait.
        "log.cleaner.io.max.bytes.per.second": str(CLEANER_BYTES_PER_S),
    }
    return {**properties, **extra}


def render(properties: Mapping[str, str]) -> str:
    """Return a Java properties file, in ASCII whatever the values hold."""
    return "".join(f"{_escaped(name)}={_escaped(value)}\n" for name, value in properties.items())


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    # Two \\uXXXX for what lies beyond 16 bits, as Java has it.
    units = text.encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))
    return "".join(chr(code) if 32 <= code < 127 else f"\\u{code:04x}" for code in codes)
