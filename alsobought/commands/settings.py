"""`settings`: what holds, and where it is from."""

from __future__ import annotations

import json

import typer

from alsobought.options import DataDir, Json, Kafka, settings_of
from alsobought.tables import print_table
from streams.settings_sources import origins, shown


def settings(kafka: Kafka = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Print every setting with its value, and where the value is from.

    Options win over variables of the environment, these over the TOML file, and the file over the defaults.
    Secrets, and names and passwords in URLs, are not shown.
    """
    found = settings_of(kafka, data_dir)
    options = {"kafka": kafka, "data_dir": data_dir}
    places = origins(type(found), (name for name, value in options.items() if value is not None))
    values = shown(found)
    if as_json:
        typer.echo(
            json.dumps({
                name: {"value": values[name], "source": place.source, "place": place.place}
                for name, place in places.items()
            }, indent=2)
        )  # fmt: skip
        return
    print_table(
        ["setting", "value", "from"],
        [[name, "" if values[name] is None else str(values[name]), str(places[name])] for name in values],
        wide=True,
    )
