"""What the commands share: options, settings, the address of Kafka, and how an error is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from alsobought.place import Place
from streams.connections.bootstrap import Bootstrap
from streams.kinds import BOUGHT, EventKind, Kind, kinds_of, listed_of
from streams.process.logs import write_json
from streams.settings import Settings, load_settings

Kafka = Annotated[
    str | None,
    typer.Option(
        "--kafka",
        metavar="HOST:PORT",
        help="Kafka's address [env: ALSOBOUGHT_KAFKA, and its security ALSOBOUGHT_KAFKA_...]; else the local"
        " stack's.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where state and the local stack live [env: ALSOBOUGHT_DATA_DIR]."
    ),
]
CheckpointUrl = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Where the checkpoints are [env: ALSOBOUGHT_CHECKPOINT_URL]."),
]
KindName = Annotated[
    str,
    typer.Option(
        "--kind", metavar="KIND",
        help="bought, watched, or a type of ALSOBOUGHT_EVENT_TYPES; for lists watched-bought, too.",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_KIND = BOUGHT.name


class CommandError(Exception):
    """A command cannot do what was asked; the message says what, where and what to do."""


def settings_of(
    kafka: str | None = None,
    data_dir: Path | None = None,
    checkpoint_url: str | None = None,
    model_dir: str | None = None,
) -> Settings:
    """Return the settings of all sources, with those that the command line gives instead.

    Raises
    ------
    SettingsError
        A setting cannot be used.
    """
    given: dict[str, Any] = {
        "kafka": kafka, "data_dir": data_dir, "checkpoint_url": checkpoint_url, "model_dir": model_dir,
    }  # fmt: skip
    return load_settings(**{name: value for name, value in given.items() if value is not None})


def set_up_logs(settings: Settings, role: str) -> None:
    """Write the logs of this process as JSON, if the settings say so."""
    if settings.log_format == "json":
        write_json(role, settings.log_level)


def bootstrap_of(settings: Settings) -> Bootstrap:
    """Return the Kafka that is set, with its security, else that of the local stack in the data directory.

    Raises
    ------
    CommandError
        None is set and no local stack runs.
    SecurityError
        The settings of its security cannot be used.
    """
    if (known := known_kafka(settings)) is not None:
        return known
    raise CommandError(
        f"no local stack is running in {settings.data_dir}: start one with `alsobought up`, or give --kafka."
    )


def known_kafka(settings: Settings) -> Bootstrap | None:
    """Return the same as `bootstrap_of`, but None where that raises CommandError."""
    if settings.kafka:
        return Bootstrap.of(settings)
    address = Place(settings.data_dir).bootstrap()
    return None if address is None else Bootstrap(address)


def find_kafka(kafka: str | None, data_dir: Path | None) -> Bootstrap:
    """Return the Kafka for a command's options; raises as `bootstrap_of` does."""
    return bootstrap_of(settings_of(kafka, data_dir))


def kind_named(name: str, settings: Settings) -> EventKind:
    """Return the kind of events of a name; raises CommandError if the settings have none."""
    kinds = {kind.name: kind for kind in kinds_of(settings)}
    if name not in kinds:
        raise CommandError(
            f"the kind of events must be one of {', '.join(kinds)}, but is {name!r}: correct it, or name it"
            " in ALSOBOUGHT_EVENT_TYPES, here and at the workers."
        )
    return kinds[name]


def find_kind(kafka: str | None, data_dir: Path | None, name: str) -> tuple[Bootstrap, EventKind]:
    """Return the Kafka and the kind of events for a command's options; raises CommandError."""
    settings = settings_of(kafka, data_dir)
    return bootstrap_of(settings), kind_named(name, settings)


def find_listed(kafka: str | None, data_dir: Path | None, name: str) -> tuple[Bootstrap, Kind]:
    """Return the Kafka and the kind of lists for a command's options; raises CommandError."""
    settings = settings_of(kafka, data_dir)
    kinds = {kind.name: kind for kind in listed_of(settings)}
    if name not in kinds:
        raise CommandError(
            f"the kind of lists must be one of {', '.join(kinds)}, but is {name!r}: correct it, or name it in"
            " ALSOBOUGHT_EVENT_TYPES, here and at the workers."
        )
    return bootstrap_of(settings), kinds[name]
