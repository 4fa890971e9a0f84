"""`serve`: the page and the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from alsobought.options import DataDir, Kafka, bootstrap_of, set_up_logs, settings_of
from alsobought.saying import say, wants_token
from alsobought.signals import run_until_signalled, until_signalled
from serving.server import NICE, Server
from streams.broker.topics_admin import require_topics
from streams.doors.policy import Doors
from streams.kinds import listed_of
from streams.process.heap import collect_rarely, use_one_heap
from streams.process.priority import step_back
from streams.process.threads import take_turns
from streams.rights import rights_of, topics_in


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; one that others reach wants ALSOBOUGHT_TOKENS.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port. 0: any free one.")] = 8080,
    kafka: Kafka = None,
    data_dir: DataDir = None,
) -> None:
    """Serve the page for merchandisers, the HTTP API and metrics, from what is published.

    The command prints its address. Any number may run, also far from the workers: each reads the topics into
    memory, and asks recommenders for what is computed on request. Ctrl-C or SIGTERM stops it.
    """
    settings = settings_of(kafka, data_dir)
    set_up_logs(settings, "server")
    doors = Doors.of(settings)
    doors.require_token(host, "--host")
    bootstrap = bootstrap_of(settings)
    rights = rights_of("server", settings)
    require_topics(bootstrap, topics_in(rights, settings), rights)
    take_turns()
    collect_rarely()
    use_one_heap()
    if settings.step_back:
        step_back(NICE)
    server = Server(bootstrap, listed_of(settings), host, port, doors=doors)

    def started(address: str) -> None:
        typer.echo(address)
        say(f"page: {address}, API below {address}/api/, metrics at {address}/metrics. Ctrl-C stops it.")
        if doors.tokens:
            say(wants_token(address))

    with until_signalled():
        run_until_signalled(server.run(started))
