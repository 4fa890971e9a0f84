"""Ports of this machine: which are free, and which are taken where nobody asked for one."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

from streams.broker.errors import PortTaken
from streams.broker.properties import HOST

# Below the ports that systems hand out to outgoing connections: one of those could sit on ours at a restart.
FREE_PORTS = range(20_000, 32_768)


def is_free(port: int) -> bool:
    """Return whether a server could listen there, on the loopback address."""
    with socket.socket() as probe:
        # As the broker does: connections that just ended do not count, a listening program does.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
        return True


def free_port(last: int | None, avoid: Iterable[int]) -> int:
    """Return a free port: the last one if it is still free.

    Raises
    ------
    PortTaken
        None of a hundred was free.
    """
    candidates = [last] if last else []
    candidates += random.sample(FREE_PORTS, 100)
    for port in candidates:
        if port not in avoid and is_free(port):
            return port
    raise PortTaken(
        f"no free port found for the broker on {HOST}, of 100 tried from {FREE_PORTS.start} to"
        f" {FREE_PORTS.stop - 1}. Stop what listens there, or ask for a port that you know to be free."
    )


def wanted_port(asked: int | None, usual: int) -> int:
    """Return the port to ask for: the usual one where the user named none and it is free.

    0 stands for any.
    """
    if asked is not None:
        return asked
    return usual if is_free(usual) else 0
