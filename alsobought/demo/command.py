"""`demo`: the whole system on real purchases."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from alsobought.demo import story as show
from alsobought.options import DataDir, settings_of
from alsobought.signals import until_signalled
from alsobought.sources import complete_journey


def demo(
    data_dir: DataDir = None,
    limit: Annotated[int | None, typer.Option(min=100, help="Only the first so many purchases.")] = None,
) -> None:
    """Run the demo on a year of real grocery purchases: 1.44 million, counted in a few minutes.

    It starts a local stack in a fresh directory, which is removed at the end (or in --data-dir, which is
    kept), publishes the purchases, measures how fresh the lists are, and prints some of them. On a terminal
    it then stays up for you to try things.
    """
    complete_journey.require()
    with until_signalled():
        if data_dir is not None:
            show.run(settings_of(None, data_dir), limit, stay=sys.stdout.isatty())
            return
        with tempfile.TemporaryDirectory(prefix="alsobought-", ignore_cleanup_errors=True) as folder:
            show.run(settings_of(None, Path(folder)), limit, stay=sys.stdout.isatty())
