"""The search is compared with a slow and obvious one."""

from __future__ import annotations

import asyncio
import random

import pytest

from serving import searching, title_index
from serving.read_model import ReadModel
from serving.searching import Search
from serving.title_index import TitleIndex, in_order, words_of
from streams.kinds import BOUGHT, BUILT_IN
from streams.topics import ITEMS
from tests.serving.shop import Message, a_list, catalogue

WORDS = ("Tea", "milk", "Ünit", "STRASSE", "straße", "a.b", "%", "x", "", "ß", "日本")


def oracle(titles: dict[str, str], buyers: dict[str, int], q: str, k: int) -> list[tuple[str, int]]:
    words, prefix = q.casefold().split(), q.strip()
    found = [
        item_id for item_id in {*titles, *buyers}
        if item_id.startswith(prefix)
        or (item_id in titles and all(word in titles[item_id].casefold() for word in words))
    ]  # fmt: skip
    found.sort(key=lambda item_id: (item_id != prefix, -buyers.get(item_id, 0), item_id))
    return [(item_id, buyers.get(item_id, 0)) for item_id in found[:k]]


@pytest.mark.parametrize("few", [0, 3, title_index.FEW])
@pytest.mark.parametrize("seed", range(6))
def test_it_finds_the_same_as_the_oracle(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(title_index, "FEW", few)
    draw = random.Random(seed)
    names = [draw.choice(["i", "é", "日", "z z"]) + str(draw.randrange(90)) for _ in range(120)]
    titles = {name: " ".join(draw.choices(WORDS, k=draw.randrange(5))) for name in names[:80]}
    buyers = {name: draw.choice([0, 1, 1, 2, 50]) for name in names[40:]}
    words = {name: words_of(title) for name, title in titles.items()}
    index = TitleIndex(in_order(words, buyers.keys() - titles.keys()), buyers)
    for _ in range(300):
        q = draw.choice([
            draw.choice(names), draw.choice(names)[:2], " ".join(draw.choices(WORDS, k=2)),
            draw.choice(WORDS), "", "  ", "nothing", "i", "T", "\\", ".", "\ud800", "milk \udfff",
        ])  # fmt: skip
        k = draw.choice([1, 2, 7, 1_000])
        assert index.find(q, k) == oracle(titles, buyers, q, k), (q, k)


def test_nothing_is_found_in_nothing() -> None:
    assert TitleIndex(in_order({}, []), {}).find("", 5) == []
    assert TitleIndex(in_order({}, []), {}).find("tea", 5) == []


def take(model: ReadModel, *messages: Message) -> None:
    for topic, key, value in messages:
        model.take(topic, key.encode(), value, 0)


def test_changes_are_found_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReadModel(BUILT_IN)
    take(model, *catalogue())
    bought = model.kinds["bought"]

    async def main() -> None:
        search = Search(model)
        assert [found.item_id for found in await search.find(bought, "ja", 9)] == ["a/b c", "jam"]
        take(model, a_list(BOUGHT, "jam", 7, "tea"))
        assert await search.find(bought, "ja", 9) == [("a/b c", 0), ("jam", 7)]  # their order is as before

        async def until(found: list[tuple[str, int]]) -> None:
            async with asyncio.timeout(60):
                while await search.find(bought, "ja", 9) != found:
                    await asyncio.sleep(0.01)

        monkeypatch.setattr(searching, "SOON_S", 0.0)
        await until([("jam", 7), ("a/b c", 0)])  # compared with no lists, one list is many more
        take(model, a_list(BOUGHT, "a/b c", 9, "tea"), a_list(BOUGHT, "jaw", 8, "tea"))
        await until([("a/b c", 9), ("jaw", 8), ("jam", 7)])
        take(model, a_list(BOUGHT, "jam", 10, "tea"))
        for _ in range(20):
            assert await search.find(bought, "ja", 9) == [("a/b c", 9), ("jaw", 8), ("jam", 10)]
            await asyncio.sleep(0)
        monkeypatch.setattr(searching, "LATER_S", 0.0)
        await until([("jam", 10), ("a/b c", 9), ("jaw", 8)])
        take(model, Message(ITEMS.name, "a/b c", None), Message(BOUGHT.lists.name, "jaw", None))
        take(model, Message(BOUGHT.lists.name, "a/b c", None))
        await until([("jam", 10)])
        first = await asyncio.gather(*(Search(model).find(bought, "tea", 1) for _ in range(9)))
        assert {tuple(found) for found in first} == {(("tea", 0),)}

    asyncio.run(main())


def test_an_index_that_could_not_be_made_is_made_by_the_next_search(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ReadModel(BUILT_IN)
    take(model, *catalogue())
    bought = model.kinds["bought"]

    async def main() -> None:
        search = Search(model)
        with monkeypatch.context() as broken:
            broken.setattr(searching, "in_order", None)
            with pytest.raises(TypeError):
                await search.find(bought, "jam", 9)
        assert [found.item_id for found in await search.find(bought, "jam", 9)] == ["jam", "a/b c"]

    asyncio.run(main())
