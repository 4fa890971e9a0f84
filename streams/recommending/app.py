"""The topology of a recommender, on one screen.

    purchases                  ──► histories ──► recommendations
    related-items  ─┐                 ▲
    popularity     ─┼──► the board ───┴────────► bestsellers
    items, models  ─┘                 ▲
    ranker, quality  ◄────────────────┴─── training: was what was bought shown before?

The same exists for watches and every type of events in the settings. The events are read by a consumer group
of its own, so that it may lag behind the workers and they never wait for it; everything else is read by all
recommenders.

Run it with `alsobought recommender`, or with `faust -A streams.recommending.app worker`.
"""

from __future__ import annotations

from streams.faust_app import add_agent, new_app, serve
from streams.process.priority import step_back
from streams.recommending.queries import RecommenderQueries
from streams.recommending.tasks import RecommenderTasks
from streams.settings import load_settings

NICER = 10  # where cores are few the workers go first

settings = load_settings()
if settings.step_back:
    step_back(NICER)
app = new_app(settings, "recommender", settings.recommender_group, RecommenderTasks)
tasks = app.tasks
serve(app, RecommenderQueries(tasks, settings.web_host, settings.web_port, settings.advertise_host))

add_agent(app, [kind.events for kind in tasks.kinds])
