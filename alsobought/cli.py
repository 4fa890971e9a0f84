"""The command `alsobought`: every command with its help; the work is done in the modules beside it.

Nothing that counts or talks to Kafka is imported before a command is called (`alsobought.loading`).
"""

from __future__ import annotations

import logging
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from alsobought.loading import LoadingGroup, loading

INTERRUPTED = 130
LONG_RUNNING = {"up", "demo", "serve"}  # these hold all lists in memory, for the page
FILE_VARIABLE = "ALSOBOUGHT_SETTINGS"  # as `streams.settings_sources` has it, which is not imported here


EXPECTED = (
    "alsobought.options:CommandError",
    "alsobought.sources:SourceError",
    "chronological.errors:ChronologicalError",
    "evaluation.errors:EvaluationError",
    "kafka.errors:KafkaError",
    "serving.server:CannotServe",
    "state.errors:StateError",
    "streams.broker.errors:BrokerError",
    "streams.doors.errors:DoorError",
    "streams.connections.errors:SecurityError",
    "streams.stores.checkpoints:CheckpointError",
    "streams.kafka.publishing:PublishError",
    "streams.process.tracing:TracesMissing",
    "streams.recommending.models:ModelError",
    "streams.settings_sources:SettingsError",
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
        "status": "alsobought.commands.status:status",
        "doctor": "alsobought.commands.doctor:doctor",
        "compare": "alsobought.commands.compare:compare",
        "copy": "alsobought.commands.copy:copy",
        "settings": "alsobought.commands.settings:settings",
    }),
    help="Related items from purchases and watches, kept up to date as each of them arrives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)  # fmt: skip


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"alsobought {version('alsobought')}, Python {platform.python_version()}")
        raise typer.Exit()


@app.callback()
def everywhere(
    ctx: typer.Context,
    settings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of settings [env: ALSOBOUGHT_SETTINGS]."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and end."),
    ] = False,
) -> None:
    """Apply the options that every command has."""
    if settings is not None:
        before = os.environ.get(FILE_VARIABLE)
        ctx.call_on_close(lambda: _set_variable(before))
        _set_variable(str(settings.absolute()))


def _set_variable(value: str | None) -> None:
    """Name the settings file, or none, to this process and those that it starts."""
    if value is None:
        os.environ.pop(FILE_VARIABLE, None)
    else:
        os.environ[FILE_VARIABLE] = value


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
_group("token", "Tokens that the API, and the queries of workers and recommenders, want.", {
    "make": "alsobought.commands.token:make",
})  # fmt: skip


def main() -> None:
    """Run the command line."""
    if not LONG_RUNNING.isdisjoint(sys.argv[1:]):  # options may stand before the command
        from streams.process.heap import continue_with_huge_pages

        continue_with_huge_pages()
    for library in ("kafka", "aiokafka"):  # what cannot be mended they raise, and the command says it
        logging.getLogger(library).setLevel(logging.CRITICAL)
    app(prog_name="alsobought")


if __name__ == "__main__":
    main()
