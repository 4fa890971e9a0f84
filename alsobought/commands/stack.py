"""`up`, `broker run`, `worker`, `recommender` and `topics`: run the parts of the system."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from alsobought.kernels import with_kernels
from alsobought.local.stack import Stack
from alsobought.local.worker_process import worker_command
from alsobought.options import CommandError, DataDir, Json, Kafka, bootstrap_of, set_up_logs, settings_of
from alsobought.place import Place
from alsobought.saying import say, wants_token
from alsobought.signals import until_signalled
from alsobought.tables import print_table
from streams.broker.embedded import EmbeddedKafka
from streams.broker.ports import wanted_port
from streams.broker.topic_checks import change_commands, differences
from streams.broker.topics_admin import create_topics, list_topics, require_topics
from streams.connections.bootstrap import environment_for
from streams.doors.policy import Doors
from streams.kinds import topics_of
from streams.process.heap import with_huge_pages
from streams.process.tracing import require_traces
from streams.rights import rights_of, topics_in
from streams.settings import Settings

log = logging.getLogger("alsobought")

USUAL_PORT, USUAL_WEB_PORT = 9092, 8080
Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, show_default=f"{USUAL_PORT} if free",
        help="Kafka's port. 0: the last one if free, else any.",
    ),
]  # fmt: skip
WebPort = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, show_default=f"{USUAL_WEB_PORT} if free",
        help="Port of the page and the API. 0: any free one.",
    ),
]  # fmt: skip


def up(
    data_dir: DataDir = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many workers.")] = 1,
    recommenders: Annotated[int, typer.Option(min=1, max=64, help="How many recommenders.")] = 1,
    web_port: WebPort = None,
) -> None:
    """Run everything on this machine: Kafka, the topics, workers, recommenders and the page, without Docker.

    Kafka takes port 9092 and the page 8080 if these are free. The command prints Kafka's address when all is
    ready, and the address of the page. Ctrl-C or SIGTERM stops it; what was counted stays in the data
    directory for the next time. A process that dies is restarted.
    """
    settings = settings_of(None, data_dir)
    require_traces(settings)
    set_up_logs(settings, "up")
    port = wanted_port(port, USUAL_PORT)
    with until_signalled(), _stack(settings, port, workers, recommenders) as stack:
        page = stack.serve_page(wanted_port(web_port, USUAL_WEB_PORT))
        typer.echo(str(stack.bootstrap))
        say(f"page: {page}")
        if Doors.of(settings).tokens:
            say(wants_token(page))
        say(f"ready: Kafka at {stack.bootstrap}, data in {settings.data_dir}. Ctrl-C stops it.")
        stack.wait()


def _stack(settings: Settings, port: int, workers: int, recommenders: int) -> Stack:
    return Stack(settings, port=port, workers=workers, recommenders=recommenders, say=say, archives=True)


def broker_run(data_dir: DataDir = None, port: Port = None) -> None:
    """Run Kafka alone, with the topics made; the other commands find it through the data directory.

    Prints its address when it is ready. Ctrl-C or SIGTERM stops it.
    """
    settings = settings_of(None, data_dir)
    set_up_logs(settings, "broker")
    place = Place(settings.data_dir)
    kafka = EmbeddedKafka(
        settings.data_dir,
        port=wanted_port(port, USUAL_PORT),
        cache_dir=settings.cache_dir,
        kafka_home=settings.kafka_home,
        archives=True,
    )
    with until_signalled():
        try:
            kafka.start()
            create_topics(kafka.bootstrap, topics_of(settings), settings.partitions, settings.replication)
            place.write(kafka.bootstrap.servers, None)
            typer.echo(str(kafka.bootstrap))
            kafka.wait()
            raise CommandError(f"Kafka has ended by itself; its log is {kafka.log}.")
        finally:
            kafka.stop()
            place.clear()


def worker(kafka: Kafka = None, data_dir: DataDir = None) -> None:
    """Run one worker: it counts events and publishes related items and how popular items are.

    Any number may run; they share the partitions. Each needs a data directory of its own.
    """
    require_traces(settings_of(kafka, data_dir))
    _become("worker", kafka, data_dir)


def recommender(kafka: Kafka = None, data_dir: DataDir = None) -> None:
    """Run one recommender: it publishes recommendations and bestsellers from what workers publish.

    Any number may run; they share the customers. Each needs a data directory of its own, which may be that of
    a worker.
    """
    _become("recommender", kafka, data_dir)


def _become(role: str, kafka: str | None, data_dir: Path | None) -> None:
    """Continue as a worker or a recommender."""
    settings = settings_of(kafka, data_dir)
    Doors.of(settings).require_token(settings.web_host, "ALSOBOUGHT_WEB_HOST")
    bootstrap = bootstrap_of(settings)
    rights = rights_of(role, settings)
    require_topics(bootstrap, topics_in(rights, settings), rights)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"cannot make the data directory {settings.data_dir}: {error.strerror}. Repair its permissions,"
            " or set ALSOBOUGHT_DATA_DIR to another directory."
        ) from error
    command = worker_command(settings, role)
    environment = with_huge_pages(environment_for(bootstrap, settings))
    os.execve(command[0], command, with_kernels(environment, settings.data_dir))


def topics_create(kafka: Kafka = None, data_dir: DataDir = None) -> None:
    """Create the topics that do not exist yet, and compare those that do with what they must be.

    Each difference is printed with the command of Kafka's tools that changes it. The status is 1 if counts
    would be lost or workers would stop because of one, and 0 otherwise.
    """
    settings = settings_of(kafka, data_dir)
    bootstrap = bootstrap_of(settings)
    specs = topics_of(settings)
    created = create_topics(bootstrap, specs, settings.partitions, settings.replication)
    for name in created:
        typer.echo(f"created {name}")
    if not created:
        typer.echo("all topics exist")
    found = differences(bootstrap, specs)
    for one in found:
        say(f"{'wrong' if one.breaks else 'note'}: {one}.")
    if found:
        say("\n".join(["To change that:", *change_commands(bootstrap, found)]))
    if broken := list(dict.fromkeys(one.topic for one in found if one.breaks)):
        raise CommandError(f"change the topics {', '.join(broken)} before workers start: see above.")


def topics_list(kafka: Kafka = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the topics: partitions, replicas and how long records are kept."""
    settings = settings_of(kafka, data_dir)
    specs = topics_of(settings)
    states = list_topics(bootstrap_of(settings), specs)
    if as_json:
        typer.echo(json.dumps([asdict(state) for state in states]))
        return
    purposes = {spec.name: spec.purpose for spec in specs}
    print_table(
        ["topic", "partitions", "replicas", "cleanup", "purpose"],
        [[s.name, s.partitions, s.replication, s.cleanup, purposes[s.name]] for s in states],
    )
