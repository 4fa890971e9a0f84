"""`train`: train a chronological model from the events, for the recommenders to use."""

from __future__ import annotations

import json
import time
from typing import Annotated

import typer

from alsobought.bars import progress_bar
from alsobought.options import (
    DEFAULT_KIND,
    DataDir,
    Json,
    Kafka,
    KindName,
    bootstrap_of,
    kind_named,
    settings_of,
)
from alsobought.tables import time_of
from alsobought.training import Fit, collect
from streams.broker.topics_admin import require_topics
from streams.kinds import kinds_of
from streams.recommending.models import announce, newest_version, write
from streams.topics import MODELS


def train(
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="Events as for publish, in place of those in the topic."),
    ] = None,
    kind: KindName = DEFAULT_KIND,
    model_dir: Annotated[
        str | None,
        typer.Option("--model-dir", metavar="URL", help="Where the model goes [env: ALSOBOUGHT_MODEL_DIR]."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same events and seed give the same model.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what was broken off before its model was announced.")
    ] = False,
    kafka: Kafka = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Train a model on what customers bought next, and make all recommenders use it.

    The command reads the events of the topic, learns what customers with a history bought in the two weeks
    after each of up to twelve moments, stops when the newest two weeks get no better, writes the model where
    the recommenders can read it, and announces it on the topic models. Recommenders take it without a
    restart. Train again when the assortment or tastes have changed, such as every week; the popularity in use
    is always that of the moment.
    """
    settings = settings_of(kafka, data_dir, model_dir=model_dir)
    of, bootstrap = kind_named(kind, settings), bootstrap_of(settings)
    require_topics(bootstrap, [MODELS])
    begin = time.monotonic()
    with progress_bar("events read", None) as on_events:
        collected = collect(of, kinds_of(settings), bootstrap, file, on_events)
    fit = Fit(settings.data_dir, of, collected, seed, resume=resume)
    with progress_bar("batches learnt", None) as on_batches:
        report = fit.run(lambda now: on_batches(now.batches))
    model = fit.model(newest_version(bootstrap, of.name) + 1)
    announced = write(settings.models_url, model)
    announce(bootstrap, announced)
    fit.announced()
    before, best = report.held_out[0], min(report.held_out)
    seconds = time.monotonic() - begin
    if as_json:
        fields = {name: getattr(announced, name) for name in announced.__struct_fields__}
        quality = {"loss_before": before, "loss": best, "refused": collected.refused}
        typer.echo(json.dumps({**fields, **quality, "seconds": round(seconds, 3)}))
        return
    typer.echo(
        f"trained version {announced.version} of {of.name} on the events until"
        f" {time_of(announced.trained_until)} in {seconds:.1f} s: {announced.items:,} items,"
        f" {announced.bytes / 1e6:.1f} MB, {announced.url}"
    )
    typer.echo(
        f"loss of the newest two weeks: {best:.3f}, by popularity alone {before:.3f}"
        + (": the model says nothing, train again when there are more events" if best == before else "")
    )
