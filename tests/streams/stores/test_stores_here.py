"""A host reports how far its stores are, whoever holds them, and leaves out broken ones."""

from __future__ import annotations

from pathlib import Path

from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.settings import CountingSettings
from state.storage.rocks_store import RocksStore
from streams.stores.here import StoresHere
from streams.topics import PURCHASES, TopicSpec

WATCHES = TopicSpec("watches", "customer_id", "for this test", "delete")


def store(root: Path, task: str, events: int, generation: int = 1) -> RocksStore:
    """Make a saved store of a machine that has counted so many events."""
    opened = RocksStore(root / task / str(generation))
    machine = CustomerMachine(CountingSettings())
    machine.apply(machine.batch([Event("ann", f"item-{n}", 1_700_000_000_000 + n) for n in range(events)]))
    CustomerSaver(machine, opened).save_all()
    return opened


def test_units_have_the_sum_of_their_stores_positions(tmp_path: Path) -> None:
    store(tmp_path, "purchases-0", 5).close()
    store(tmp_path, "purchases-3", 7, generation=1).close()
    store(tmp_path, "purchases-3", 9, generation=2).close()
    store(tmp_path, "watches-3", 2).close()
    # this belongs to a type of events that is no longer in the settings
    store(tmp_path, "liked-1", 4).close()
    broken = tmp_path / "watches-2" / "1"
    broken.mkdir(parents=True)
    (broken / "CURRENT").write_text("nonsense\n")
    held = store(tmp_path, "watches-0", 6)
    held.flush(wait=True)
    here = StoresHere(tmp_path, (PURCHASES, WATCHES))
    assert here.by_unit({}) == {}
    here.look()
    held.close()
    assert here.by_unit({}) == {0: 5 + 6, 2: 0, 3: 9 + 2}
    assert here.by_unit({"purchases-3": 20, "purchases-1": 1}) == {0: 11, 1: 1, 2: 0, 3: 22}
    here.closed("purchases-1", 30)
    assert here.by_unit({})[1] == 30


def test_a_host_without_stores_says_so(tmp_path: Path) -> None:
    here = StoresHere(tmp_path / "none", (PURCHASES,))
    here.look()
    assert here.by_unit({}) == {}
