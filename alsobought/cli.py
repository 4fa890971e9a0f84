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
    "streams.checkpoints:CheckpointError",
    "streams.publishing:PublishError",
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
        "up": "alsobought.commands_stack:up",
        "demo": "alsobought.commands_demo:demo",
        "worker": "alsobought.commands_stack:worker",
        "recommender": "alsobought.commands_stack:recommender",
        "serve": "alsobought.commands_serve:serve",
        "forget": "alsobought.commands_publish:forget",
        "drain": "alsobought.commands_drain:drain",
        "related": "alsobought.commands_lists:related",
        "watch": "alsobought.commands_lists:watch",
        "recommend": "alsobought.commands_recommend:recommend",
        "bestsellers": "alsobought.commands_recommend:bestsellers",
        "experiments": "alsobought.commands_recommend:experiments",
        "dead-letters": "alsobought.commands_inspect:dead_letters",
        "train": "alsobought.commands_train:train",
        "evaluate": "alsobought.commands_evaluate:evaluate",
        "rebuild": "alsobought.commands_rebuild:rebuild",
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


_group("broker", "Kafka on this machine, without Docker.", {"run": "alsobought.commands_stack:broker_run"})
_group("topics", "Make and describe the topics.", {
    "create": "alsobought.commands_stack:topics_create",
    "list": "alsobought.commands_stack:topics_list",
})  # fmt: skip
_group("publish", "Send files to Kafka.", {
    "purchases": "alsobought.commands_publish:purchases",
    "watches": "alsobought.commands_publish:watches",
    "events": "alsobought.commands_publish:events",
    "synthetic": "alsobought.commands_publish:synthetic",
    "items": "alsobought.commands_publish:items",
})  # fmt: skip
_group("export", "Write what the topics hold to a file.", {
    "related-items": "alsobought.commands_lists:export_related",
    "recommendations": "alsobought.commands_lists:export_recommendations",
    "bestsellers": "alsobought.commands_lists:export_bestsellers",
})  # fmt: skip
_group("inspect", "Look into the workers' counts.", {
    "item": "alsobought.commands_inspect:item",
    "customer": "alsobought.commands_inspect:customer",
})  # fmt: skip
_group("checkpoint", "Copies of the workers' state that a worker with an empty disk begins from.", {
    "now": "alsobought.commands_checkpoint:now",
    "list": "alsobought.commands_checkpoint:list_",
    "verify": "alsobought.commands_checkpoint:verify",
    "restore": "alsobought.commands_checkpoint:restore",
})  # fmt: skip


def main() -> None:
    """Run the command line."""
    for library in ("kafka", "aiokafka"):  # what cannot be mended they raise, and the command says it
        logging.getLogger(library).setLevel(logging.CRITICAL)
    app(prog_name="alsobought")


if __name__ == "__main__":
    main()
