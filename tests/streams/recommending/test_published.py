"""Tests of finding records by others in a partition, including those from before it was opened."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from streams.recommending.published import PublishedRecommendations
from tests.streams.pipeline import Keys
from tests.streams.recommending.one_task import new_task


def published(root: Path, topic: Keys) -> PublishedRecommendations:
    task = new_task(root)
    return PublishedRecommendations(task._board, 0, replace(task.context, reader=topic))  # type: ignore[arg-type]


def test_records_written_after_the_last_owner_looked_are_found(tmp_path: Path) -> None:
    """A process that stood still may have written it before the next owner opened the partition."""

    async def main() -> None:
        topic = Keys([b"ann", b"bob", b"cid\tp1"])
        ours = published(tmp_path, topic)
        assert ours.looked_through == -1
        await ours.begin(1)
        assert ours.looked_through == 1
        assert await ours.by_others() == {"bob", "cid"}
        assert ours.looked_through == 3
        ours.own(3, 2)
        topic.all += [b"dan", b"eve", b"fay"]
        assert ours.looked_through == 5
        assert await ours.by_others() == {"fay"}
        assert ours.looked_through == 6
        assert await ours.by_others() == set()

    asyncio.run(main())


def test_nothing_is_published_anew_without_an_earlier_owner_or_after_one_who_looked_to_the_end(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        for looked_through in (-1, 2, 7):  # this holds also in a topic that was deleted and made anew
            ours = published(tmp_path, Keys([b"ann", b"bob"]))
            await ours.begin(looked_through)
            assert await ours.by_others() == set(), looked_through
            assert ours.looked_through == 2

    asyncio.run(main())
