"""Events in a folder, so that every algorithm's process maps the same pages instead of holding a copy."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from evaluation.protocol import Events, ItemProperties

COLUMNS = ("customer", "item", "time_ms")


def write(events: Events, folder: Path) -> None:
    """Write events to files of the folder."""
    for name in COLUMNS:
        np.save(folder / f"{name}.npy", getattr(events, name))
    catalogue = None if events.catalogue is None else asdict(events.catalogue)
    described = {"n_customers": events.n_customers, "n_items": events.n_items, "catalogue": catalogue}
    (folder / "events.json").write_text(json.dumps(described), encoding="utf-8")


def read(folder: Path) -> Events:
    """Return the events that were written, mapped."""
    customer, item, time_ms = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in COLUMNS)
    described = json.loads((folder / "events.json").read_text(encoding="utf-8"))
    catalogue = None if described["catalogue"] is None else ItemProperties(**described["catalogue"])
    n_customers, n_items = described["n_customers"], described["n_items"]
    return Events(customer, item, time_ms, n_customers, n_items, catalogue)
