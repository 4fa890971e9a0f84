"""What runs: whether everything has an owner, and whether the owners are well."""

from __future__ import annotations

from collections.abc import Iterator

from alsobought.doctor.finding import Finding, Level
from alsobought.status import status_of
from streams.connections.bootstrap import Bootstrap
from streams.http_metrics import own_version
from streams.settings import Settings

SHOWN = 5


def processes(bootstrap: Bootstrap, settings: Settings) -> Iterator[Finding]:
    """Look for tasks without an owner, and for processes that are not well."""
    status, mine = status_of(bootstrap, settings), own_version()
    absent = [task.task for task in status.tasks if task.silent]
    if absent:
        more = f" and {len(absent) - SHOWN} more" if len(absent) > SHOWN else ""
        yield Finding(
            Level.WARNING, "processes", f"nobody counts {', '.join(absent[:SHOWN])}{more}",
            "start `alsobought worker`, and for recommender/... `alsobought recommender`",
        )  # fmt: skip
    here = {task.process for task in status.tasks if not task.silent}
    for process in status.processes:
        if process.address not in here:
            continue
        if process.trouble is not None:
            yield Finding(
                Level.WARNING, "processes", process.trouble,
                "set ALSOBOUGHT_ADVERTISE_HOST there to a name that this machine knows, and open its port",
            )  # fmt: skip
        elif process.version != mine:
            yield Finding(
                Level.WARNING, "processes",
                f"{process.address} runs version {process.version}, and this is {mine}",
                "run all processes and commands from the same release",
            )  # fmt: skip
        elif not process.ready:
            yield Finding(
                Level.WARNING, "processes", f"the {process.role} at {process.address} is not ready",
                f"ask it why: {process.address}/readyz",
            )  # fmt: skip
    if not absent:
        yield Finding(Level.OK, "processes", f"all {len(status.tasks)} tasks have an owner")
