"""`doctor`: what is wrong with the installation, and what to do."""

from __future__ import annotations

import json
import os
import sys

import typer

from alsobought.doctor import Finding, Level, findings
from alsobought.options import DataDir, Json, Kafka, settings_of

COLOURS = {Level.OK: typer.colors.GREEN, Level.WARNING: typer.colors.YELLOW, Level.ERROR: typer.colors.RED}
ABOUT_WIDTH = 12


def doctor(kafka: Kafka = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Look for what is wrong: packages, Java, disk, checkpoints, Kafka, rights, topics, clocks and processes.

    Each line says ok, warning or error, what was found, and what to do. The status is 1 if there is an error.
    To compare the clocks, an empty record is written to the topic progress, which all readers ignore.
    """
    worst, settings, found = Level.OK, settings_of(kafka, data_dir), list[Finding]()
    for one in findings(settings):
        if one.level == Level.ERROR or worst == Level.OK:
            worst = one.level
        if as_json:
            found.append(one)
        else:
            _print(one)
    if as_json:
        typer.echo(json.dumps([one._asdict() for one in found], indent=2))
    if worst == Level.ERROR:
        raise typer.Exit(1)


def _print(one: Finding) -> None:
    level = f"{one.level.value:8}"
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    word = typer.style(level, fg=COLOURS[one.level]) if colour else level
    to_do = f": {one.what_to_do}" if one.what_to_do else ""
    typer.echo(f"{word} {one.about:{ABOUT_WIDTH}} {one.what}{to_do}")
