"""Which stores this host has, and how far they are; this is reported to the group, so that units go there."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from state.errors import StateError
from state.storage.saving import stored_position_in
from streams.kafka.assignment import StickyUnits
from streams.settings import Settings
from streams.stores.folder import StoreFolder
from streams.topics import TopicSpec, is_task

log = logging.getLogger("alsobought")

READERS = 8


class StoresHere:
    """The stores under `root` of the tasks of some topics.

    Positions are read once, when the worker starts; it knows those of the stores that it has opened since.
    """

    def __init__(self, root: Path, specs: Iterable[TopicSpec]) -> None:
        self._root, self._specs = root, tuple(specs)
        self._positions: dict[str, int] = {}

    def look(self) -> None:
        """Read the position of every store, which takes some milliseconds each."""
        found = self._root.iterdir() if self._root.is_dir() else ()
        names = [path.name for path in found if path.is_dir() and is_task(path.name, self._specs)]
        with ThreadPoolExecutor(READERS, "stores") as pool:
            self._positions = dict(zip(names, pool.map(self._position, names), strict=True))

    def _position(self, task: str) -> int:
        try:
            newest = StoreFolder(self._root / task).newest()
            return 0 if newest is None else stored_position_in(newest)
        except StateError as error:  # opening it says what is wrong, if it comes to that
            log.debug("%s: its position cannot be read: %s", task, error)
            return 0

    def report(self, settings: Settings, opened: Callable[[], Mapping[str, int]]) -> None:
        """Report from now on to the group where these stores are, and how far; `opened` returns how far the
        open ones are, by task.
        """
        host = settings.advertise_host or socket.gethostname()
        StickyUnits.place = f"{host}:{settings.data_dir.absolute()}"
        StickyUnits.stores = lambda: self.by_unit(opened())
        StickyUnits.has_checkpoints = settings.checkpoint_url is not None

    def closed(self, task: str, position: int) -> None:
        """Note how far a task's store is that was closed."""
        self._positions[task] = position

    def by_unit(self, opened: Mapping[str, int]) -> dict[int, int]:
        """Return how far the stores of each unit are: the sum of their positions.

        `opened` has the open ones.
        """
        units: dict[int, int] = {}
        for task, position in {**self._positions, **opened}.items():
            unit = int(task.rpartition("-")[2])
            units[unit] = units.get(unit, 0) + position
        return units
