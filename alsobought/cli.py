"""The command `alsobought`: every command with its help; the work is done in the modules beside it."""

from __future__ import annotations

import logging
from typing import Any

import typer
from kafka.errors import KafkaError
from typer.core import TyperGroup

from alsobought import (
    commands_checkpoint,
    commands_demo,
    commands_drain,
    commands_evaluate,
    commands_inspect,
    commands_lists,
    commands_publish,
    commands_rebuild,
    commands_recommend,
    commands_serve,
    commands_stack,
    commands_train,
)
from alsobought.options import CommandError
from alsobought.sources import SourceError
from chronological.errors import ChronologicalError
from evaluation.errors import EvaluationError
from serving.server import CannotServe
from state.errors import StateError
from streams.broker.errors import BrokerError
from streams.checkpoints import CheckpointError
from streams.publishing import PublishError
from streams.recommending.models import ModelError

EXPECTED = (
    CommandError, BrokerError, PublishError, SourceError, CheckpointError, StateError, KafkaError,
    CannotServe, ChronologicalError, EvaluationError, ModelError,
)  # fmt: skip
INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands; an expected error becomes a line on standard error and status 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            typer.echo(f"alsobought: {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(INTERRUPTED) from error


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)


app = typer.Typer(
    cls=Commands,
    help="Related items from purchases and watches, kept up to date as each of them arrives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
broker, topics, publish, export, inspect, checkpoint = (
    _group("Kafka on this machine, without Docker."),
    _group("Make and describe the topics."),
    _group("Send files to Kafka."),
    _group("Write what the topics hold to a file."),
    _group("Look into the workers' counts."),
    _group("Copies of the workers' state that a worker with an empty disk begins from."),
)

app.command("up")(commands_stack.up)
app.command("demo")(commands_demo.demo)
app.command("worker")(commands_stack.worker)
app.command("recommender")(commands_stack.recommender)
app.command("serve")(commands_serve.serve)
broker.command("run")(commands_stack.broker_run)
topics.command("create")(commands_stack.topics_create)
topics.command("list")(commands_stack.topics_list)
publish.command("purchases")(commands_publish.purchases)
publish.command("watches")(commands_publish.watches)
publish.command("events")(commands_publish.events)
publish.command("synthetic")(commands_publish.synthetic)
publish.command("items")(commands_publish.items)
app.command("forget")(commands_publish.forget)
app.command("drain")(commands_drain.drain)
app.command("related")(commands_lists.related)
app.command("watch")(commands_lists.watch)
export.command("related-items")(commands_lists.export_related)
export.command("recommendations")(commands_lists.export_recommendations)
export.command("bestsellers")(commands_lists.export_bestsellers)
app.command("recommend")(commands_recommend.recommend)
app.command("bestsellers")(commands_recommend.bestsellers)
app.command("experiments")(commands_recommend.experiments)
inspect.command("item")(commands_inspect.item)
inspect.command("customer")(commands_inspect.customer)
app.command("dead-letters")(commands_inspect.dead_letters)
checkpoint.command("now")(commands_checkpoint.now)
checkpoint.command("list")(commands_checkpoint.list_)
checkpoint.command("verify")(commands_checkpoint.verify)
checkpoint.command("restore")(commands_checkpoint.restore)
app.command("train")(commands_train.train)
app.command("evaluate")(commands_evaluate.evaluate)
app.command("rebuild")(commands_rebuild.rebuild)
for name, group in {
    "broker": broker, "topics": topics, "publish": publish, "export": export, "inspect": inspect,
    "checkpoint": checkpoint,
}.items():  # fmt: skip
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line."""
    for library in ("kafka", "aiokafka"):  # what cannot be mended they raise, and the command says it
        logging.getLogger(library).setLevel(logging.CRITICAL)
    app(prog_name="alsobought")


if __name__ == "__main__":
    main()
