"""The topology of a worker, on one screen.

    purchases  ──► customers  ──► pair-deltas ──► items ──► related-items, popularity
    items      ──► catalogue  ──────┤
    watches    ──► customers  ──► pair-deltas-watched ──► items ──► related-items-watched, popularity-watched
    ...                               and so on for every type of events in the settings
    first-events ──► crossing ──► pair-deltas-watched-bought ──► items ──► related-items-watched-bought
                      (the customers' machines of purchases and of watches publish history changes there)
    dead-letters and progress are written by all of them

All of it is one agent: the records of a fetch, of all topics and partitions, go through the machines in one
pass (`streams.tasks.cycle`). Another process makes recommendations and bestsellers of these topics: see
`streams.recommending.app`. Run the worker with `alsobought worker`, or with `faust -A streams.app worker`.
"""

from __future__ import annotations

from streams.faust_app import add_agent, new_app, serve
from streams.queries import Queries
from streams.settings import load_settings
from streams.topics import ITEMS
from streams.worker import Tasks

settings = load_settings()
app = new_app(settings, "worker", settings.worker_group, Tasks)
serve(app, Queries(app.tasks, settings.web_host, settings.web_port, settings.advertise_host))
add_agent(app, [ITEMS, *(spec for kind in app.tasks.listed for spec in (kind.events, kind.deltas))])
