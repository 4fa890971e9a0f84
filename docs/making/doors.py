"""The page of endpoints and rights."""

from __future__ import annotations

from docs.making.tables import MADE, table_of
from streams.doors import rights


def doors_page() -> str:
    """Return the page of endpoints and rights."""

    def table(doors: tuple[rights.Door, ...]) -> str:
        rows = [
            [f"`{door.method} {door.path}`", door.right.word, str(door.cost), door.answers] for door in doors
        ]
        return table_of(["endpoint", "right", "counts for", "what is there"], rows)

    return "\n\n".join([
        MADE, "# Doors: endpoints and rights",
        "Where tokens are set, a request must show one that has this right or a greater one (read, write,\n"
        "admin); `none` is open to everybody. *Counts for* says how many requests an answer is in\n"
        "`ALSOBOUGHT_REQUESTS_PER_S`. What it means is in [Doors](../guide/doors.md).",
        "## The page and the API", table(rights.API),
        "## The query port of workers and recommenders", table(rights.QUERIES),
    ]) + "\n"  # fmt: skip
