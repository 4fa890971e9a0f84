"""The faults: each function does harm, and returns a description when the harm is done."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from tests.chaos.cluster import RECOMMENDER, SESSION_MS, Cluster

Fault = Callable[[Cluster, random.Random], None]
THIRD = "a2"


def kill_worker(cluster: Cluster, rng: random.Random) -> None:
    """Kill a worker (-9); start it again at once, or after longer than the session timeout."""
    name = rng.choice(cluster.running())
    cluster.kill(name)
    time.sleep(rng.choice([0.0, 0.5, 1.5 * SESSION_MS / 1000]))
    cluster.start_worker(name)


def kill_recommender(cluster: Cluster, rng: random.Random) -> None:
    """Kill a recommender (-9); start it again at once, or after longer than the session timeout."""
    name = rng.choice(cluster.hosts).name + RECOMMENDER
    cluster.kill(name)
    time.sleep(rng.choice([0.0, 1.5 * SESSION_MS / 1000]))
    cluster.start_worker(name)


def freeze_recommender(cluster: Cluster, rng: random.Random) -> None:
    """Freeze a recommender for longer than the session timeout (SIGSTOP, SIGCONT)."""
    name = rng.choice(cluster.hosts).name + RECOMMENDER
    cluster.freeze(name, SESSION_MS / 1000 + rng.uniform(1, 8))


def kill_all_workers(cluster: Cluster, rng: random.Random) -> None:
    """Kill every worker (-9)."""
    names = cluster.running()
    for name in names:
        cluster.kill(name)
    time.sleep(rng.random())
    for name in names:
        cluster.start_worker(name)


def kill_broker(cluster: Cluster, rng: random.Random) -> None:
    """Kill the broker (-9)."""
    cluster.kill_broker(rng.uniform(0, 5))


def broker_away(cluster: Cluster, rng: random.Random) -> None:
    """Take the broker away for a minute."""
    cluster.kill_broker(60)


def kill_broker_and_worker(cluster: Cluster, rng: random.Random) -> None:
    """Kill a worker and the broker (-9)."""
    name = rng.choice(cluster.running())
    cluster.kill(name)
    cluster.kill_broker(rng.uniform(0, 2))
    cluster.start_worker(name)


def freeze(cluster: Cluster, rng: random.Random) -> None:
    """Freeze a worker for longer than the session timeout (SIGSTOP, SIGCONT)."""
    cluster.freeze(rng.choice(cluster.running()), SESSION_MS / 1000 + rng.uniform(1, 8))


def freeze_briefly(cluster: Cluster, rng: random.Random) -> None:
    """Freeze a worker for less than the session timeout."""
    cluster.freeze(rng.choice(cluster.running()), rng.uniform(0.5, 4))


def join_or_leave(cluster: Cluster, rng: random.Random) -> None:
    """Let a third worker join, or leave if it runs."""
    if THIRD in cluster.running():
        cluster.leave(THIRD)
    else:
        cluster.start_worker(THIRD)


def restart_worker(cluster: Cluster, rng: random.Random) -> None:
    """Stop a worker (SIGTERM) and start it again."""
    name = rng.choice(cluster.running())
    cluster.leave(name)
    cluster.start_worker(name)


def wipe_disk(cluster: Cluster, rng: random.Random) -> None:
    """Take away a host's disk and its workers."""
    cluster.wipe(rng.choice(cluster.hosts))


def wipe_disk_and_checkpoint(cluster: Cluster, rng: random.Random) -> None:
    """Take away a host's disk, and damage the newest checkpoints."""
    cluster.spoil_checkpoints(rng)
    cluster.wipe(rng.choice(cluster.hosts))


def join_with_the_broker_away(cluster: Cluster, rng: random.Random) -> None:
    """Let a worker join or leave, and take the broker away for long while stores are opened."""
    join_or_leave(cluster, rng)
    time.sleep(rng.uniform(0, 3))
    cluster.kill_broker(30)


def full_disk(cluster: Cluster, rng: random.Random) -> None:
    """Fill a worker's disk for some seconds."""
    cluster.fill_disk(rng.choice(cluster.running()), rng.uniform(2, 6))


def two_at_once(cluster: Cluster, rng: random.Random) -> None:
    """Freeze a worker while the broker is killed."""
    name = rng.choice(cluster.running())
    frozen = threading.Thread(target=cluster.freeze, args=(name, SESSION_MS / 1000 + 3))
    frozen.start()
    cluster.kill_broker(rng.uniform(0, 2))
    frozen.join()


SHORT: list[Fault] = [
    kill_worker, freeze, kill_recommender, wipe_disk_and_checkpoint, freeze_recommender,
    kill_broker_and_worker, join_or_leave, full_disk,
]  # fmt: skip
"""One of each kind that differs, in an order in which each meets what the one before left."""

WEIGHTS: dict[Fault, int] = {
    kill_worker: 6, kill_all_workers: 2, kill_broker: 3, broker_away: 1, kill_broker_and_worker: 2,
    freeze: 5, freeze_briefly: 2, join_or_leave: 5, restart_worker: 3, wipe_disk: 3,
    wipe_disk_and_checkpoint: 2, full_disk: 3, two_at_once: 1, kill_recommender: 4, freeze_recommender: 3,
    join_with_the_broker_away: 2,
}  # fmt: skip
