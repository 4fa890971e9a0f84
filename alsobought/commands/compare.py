"""`compare`: whether two deployments publish the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from alsobought.bars import progress_bar
from alsobought.deployments.comparing import Compared, comparison
from alsobought.deployments.other import other, this
from alsobought.options import CommandError, DataDir, Json, Kafka, bootstrap_of, settings_of
from alsobought.tables import print_table
from streams.kinds import listed_of

DIFFERENT = 3
"""The status when the deployments differ; 1 and 2 say that they could not be compared."""


def compare(
    with_prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="The other deployment's ALSOBOUGHT_TOPIC_PREFIX.")
    ] = None,
    with_kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The other deployment's Kafka; else the same.")
    ] = None,
    with_settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of the other deployment's settings.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="By how much of itself a score may differ; counts may not.")
    ] = 0.001,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Compare the related lists, popularity and bestsellers of this deployment with those of another.

    Both may have any number of partitions. Drain both before. The status is 0 if all is equal, scores up to
    the tolerance, 3 if something differs, and 1 if neither publishes anything.
    """
    settings = settings_of(kafka, data_dir)
    here = this(settings, bootstrap_of(settings))
    there = other(
        settings, here, kafka=with_kafka, prefix=with_prefix, file=with_settings, option="--with"
    )  # fmt: skip
    planned = comparison(here, there, listed_of(settings))
    with progress_bar("messages read", planned.offsets) as show:
        found = list(planned.run(tolerance, show))
    if not any(one.both or one.here or one.there for one in found):
        raise CommandError(
            f"neither {here} nor {there} publishes anything, so there is nothing to compare: start their"
            " workers, drain both, and look whether these are the deployments that you mean."
        )
    if as_json:
        typer.echo(
            json.dumps({"same": all(one.same for one in found), "topics": [c.as_json() for c in found]})
        )
    else:
        _print(found)
    if not all(one.same for one in found):
        raise typer.Exit(DIFFERENT)


def _print(found: list[Compared]) -> None:
    columns = ["topic", "in both", "only here", "only there", "equal", "differ", "counts", "scores", "top 10"]
    rows = [
        [
            one.topic, one.both, one.here, one.there, one.equal, one.differing, one.counts,
            f"{100 * one.scores:.2g} %", "" if one.overlap is None else f"{100 * one.overlap:.0f} %",
        ]
        for one in found
    ]  # fmt: skip
    print_table(columns, rows, wide=True)
    for one in found:
        for example in one.examples:
            typer.echo(f"{one.topic}: {example}")
    same = all(one.same for one in found)
    typer.echo("Both say the same." if same else "They differ. Were both drained?")
