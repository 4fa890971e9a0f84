"""`status`: what runs, who owns what, and how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict

import typer

from alsobought.options import DataDir, Json, Kafka, bootstrap_of, settings_of
from alsobought.status import ProcessState, Status, TaskState, status_of
from alsobought.tables import print_table

MIB = 1 << 20
UNKNOWN = "-"


def status(kafka: Kafka = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show what runs: who owns which partitions, how far each is, and ages and sizes of what is stored.

    Processes that are away are shown as they reported last. The columns report, save and checkpoint are
    seconds since then, MiB is the store on the disk, and p99 the time from an event to its lists; - is what
    only the process knows.
    """
    settings = settings_of(kafka, data_dir)
    found = status_of(bootstrap_of(settings), settings)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _show(found)


def _show(found: Status) -> None:
    print_table(
        ["", "process", "role", "version", "state", "tasks", "memory, MiB", "of that"],
        [_process(number, one) for number, one in enumerate(found.processes, 1)],
        title=f"Kafka at {found.kafka}",
        wide=True,
    )
    typer.echo()
    numbers = {one.address: str(number) for number, one in enumerate(found.processes, 1)}
    print_table(
        ["task", "process", "state", "counted", "lag", "report", "save", "checkpoint", "MiB", "p99, ms"],
        [_task(numbers, one) for one in found.tasks],
        wide=True,
    )
    lag = sum(task.lag or 0 for task in found.tasks)
    absent = [task.task for task in found.tasks if task.process is None or task.silent]
    typer.echo(
        f"\n{len(found.tasks)} tasks, {lag:,} records not counted, {len(absent)} tasks without an owner"
    )


def _process(number: int, one: ProcessState) -> list[object]:
    state = "does not answer" if one.trouble else "ready" if one.ready else "not ready"
    parts = ", ".join(
        f"{part} {size // MIB}" for part, size in sorted(one.memory_parts.items()) if size >= MIB
    )
    return [
        str(number), one.address, one.role or UNKNOWN, one.version or UNKNOWN, state, one.tasks,
        _mib(one.memory_bytes), parts,
    ]  # fmt: skip


def _task(numbers: Mapping[str, str], one: TaskState) -> list[object]:
    state = "nobody" if one.process is None else "silent" if one.silent else "counts"
    return [
        one.task, numbers.get(one.process or "", UNKNOWN), state, _number(one.applied), _number(one.lag),
        _number(one.reported_s), _number(one.saved_s), _number(one.checkpoint_s), _mib(one.store_bytes),
        _number(one.latency_p99_ms),
    ]  # fmt: skip


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def _mib(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value / MIB:,.1f}"
