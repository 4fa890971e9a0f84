"""The command `alsobought`: every command with its help; the work is done in the modules beside it.

Nothing that counts or talks to Kafka is imported before a command is called (`alsobought.loading`).
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import typer

from alsobought.loading import LoadingGroup, loading

INTERRUPTED = 130


EXPECTED = (
    "alsobought.options:CommandError",
    "alsobought.sources:SourceError",
    "chronological.errors:ChronologicalError",
    "evaluation.errors:EvaluationError",
    "kafka.errors:KafkaError",
    "serving.server:CannotServe",
    "state.errors:StateError",
    "streams.broker.errors:BrokerError",
    "streams.connections.errors:SecurityError",
    "streams.stores.checkpoints:CheckpointError",
    "streams.kafka.publishing:PublishError",
    "streams.recommending.models:ModelError",
)
"""Errors whose message says all that a user needs: module and class of each."""


class Commands(LoadingGroup):
    """The commands; an expected error becomes a line on standard error and status 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not isinstance(error, expected()):
                raise
            typer.echo(f"alsobought: {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(INTERRUPTED) from error


def expected() -> tuple[type[Exception], ...]:
    """Return those of the expected errors that can have been raised: whose modules are loaded."""
    pairs = [name.split(":") for name in EXPECTED]
    return tuple(getattr(sys.modules[module], name) for module, name in pairs if module in sys.modules)


app = typer.Typer(
    cls=loading(Commands, {
        "up": "alsobought.commands.stack:up",
        "demo": "alsobought.demo.command:demo",
        "worker": "alsobought.commands.stack:worker",
        "recommender": "alsobought.commands.stack:recommender",
        "serve": "alsobought.commands.serve:serve",
        "forget": "alsobought.commands.publish:forget",
        "drain": "alsobought.commands.drain:drain",
        "related": "alsobought.commands.lists:related",
        "watch": "alsobought.commands.lists:watch",
        "recommend": "alsobought.commands.recommend:recommend",
        "bestsellers": "alsobought.commands.recommend:bestsellers",
        "experiments": "alsobought.commands.recommend:experiments",
        "dead-letters": "alsobought.commands.inspect:dead_letters",
        "train": "alsobought.commands.train:train",
        "evaluate": "alsobought.commands.evaluate:evaluate",
        "rebuild": "alsobought.commands.rebuild:rebuild",
    }),
    help="Related items from purchases and watches, kept up to date as each of them arrives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)  # fmt: skip


def _group(name: str, text: str, table: dict[str, str]) -> None:
    group = typer.Typer(
        cls=loading(LoadingGroup, table), help=text, no_args_is_help=True, rich_markup_mode=None
    )
    app.add_typer(group, name=name)


_group("broker", "Kafka on this machine, without Docker.", {"run": "alsobought.commands.stack:broker_run"})
_group("topics", "Make and describe the topics.", {
    "create": "alsobought.commands.stack:topics_create",
    "list": "alsobought.commands.stack:topics_list",
    "rights": "alsobought.commands.rights:topics_rights",
})  # fmt: skip
_group("publish", "Send files to Kafka.", {
    "purchases": "alsobought.commands.publish:purchases",
    "watches": "alsobought.commands.publish:watches",
    "events": "alsobought.commands.publish:events",
    "synthetic": "alsobought.commands.publish:synthetic",
    "items": "alsobought.commands.publish:items",
})  # fmt: skip
_group("export", "Write what the topics hold to a file.", {
    "related-items": "alsobought.commands.lists:export_related",
    "recommendations": "alsobought.commands.lists:export_recommendations",
    "bestsellers": "alsobought.commands.lists:export_bestsellers",
})  # fmt: skip
_group("inspect", "Look into the workers' counts.", {
    "item": "alsobought.commands.inspect:item",
    "customer": "alsobought.commands.inspect:customer",
})  # fmt: skip
_group("checkpoint", "Copies of the workers' state that a worker with an empty disk begins from.", {
    "now": "alsobought.commands.checkpoint:now",
    "list": "alsobought.commands.checkpoint:list_",
    "verify": "alsobought.commands.checkpoint:verify",
    "restore": "alsobought.commands.checkpoint:restore",
})  # fmt: skip


def main() -> None:
    """Run the command line."""
    for library in ("kafka", "aiokafka"):  # what cannot be mended they raise, and the command says it
        logging.getLogger(library).setLevel(logging.CRITICAL)
    app(prog_name="alsobought")


if __name__ == "__main__":
    main()
