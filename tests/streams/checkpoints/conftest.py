"""Fixtures: an empty store, and where its checkpoints go."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from state.storage.rocks_store import RocksStore


@pytest.fixture(params=["directory", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "there") if request.param == "directory" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    from state.storage.rocks_store import RocksStore
    from tests.streams.checkpoints.stores import TASK

    store = RocksStore(tmp_path / "state" / TASK / "1")
    yield store
    store.close()
