"""A worker that finds a store of a newer version ends, says so, and leaves the store to that version."""

from __future__ import annotations

from pathlib import Path

import pytest

from state.storage.codec import LAYOUT
from state.storage.rocks_store import RocksStore
from state.storage.saving import META
from streams.broker.embedded import EmbeddedKafka
from streams.stores.folder import StoreFolder
from streams.topics import PURCHASES
from tests.oracles.counts import Oracle
from tests.streams.pipeline import WAIT_S, Wires, Worker
from tests.streams.test_pipeline import WINDOW, check, events_of, real_records


def rewrite_layout(folder: Path, layout: int) -> dict[bytes, bytes]:
    """Give a store's META another layout number; return all records."""
    store = RocksStore(folder)
    raw = store.get(META)
    assert raw is not None
    store.write([(META, bytes([layout]) + raw[1:])])
    store.flush(wait=True)
    store.close()
    return records_of(folder)


def records_of(folder: Path) -> dict[bytes, bytes]:
    store = RocksStore(folder)
    records = dict(store.scan(b""))
    store.close()
    return records


@pytest.mark.timeout(240)
def test_a_newer_store_is_refused_and_kept(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    records = real_records(600)
    settings = {"checkpoint_url": str(tmp_path / "checkpoints")}
    worker = Worker(kafka.bootstrap, tmp_path / "data", instance="one", **settings)
    wires.publish(PURCHASES.name, [*records[:300]])
    wires.drain()
    assert worker.stop() == 0

    folder = StoreFolder(tmp_path / "data" / "state" / f"{PURCHASES.name}-1").newest()
    assert folder is not None
    before = rewrite_layout(folder, LAYOUT + 1)
    worker = Worker(kafka.bootstrap, tmp_path / "data", instance="one", **settings)
    assert worker.process.wait(WAIT_S) != 0
    said = worker.log.read_text()
    assert f"has layout {LAYOUT + 1}, this program reads {LAYOUT}; a newer version wrote it: run that" in said
    assert StoreFolder(folder.parent).newest() == folder
    assert records_of(folder) == before

    # the version that wrote it goes on from it
    rewrite_layout(folder, LAYOUT)
    worker = Worker(kafka.bootstrap, tmp_path / "data", instance="one", **settings)
    wires.publish(PURCHASES.name, [*records[300:]])
    wires.drain()
    assert worker.stop() == 0
    check(wires.lists(), Oracle(WINDOW).feed(events_of(records)))
