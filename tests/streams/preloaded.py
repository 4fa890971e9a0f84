"""Imports what workers and recommenders import, except their apps, which read the settings."""

import faust.cli.faust
import faust.cli.worker

import streams.compile
import streams.faust_app
import streams.process.priority
import streams.queries
import streams.recommending.queries
import streams.recommending.tasks
import streams.worker

streams.compile.exercise()

__all__ = ["faust", "streams"]
