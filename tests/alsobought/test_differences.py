"""What counts as a difference between two deployments' messages, and what does not."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from alsobought.cli import app
from alsobought.deployments.differences import of_lists, of_popularity, of_sellers
from alsobought.deployments.other import Deployment, other
from streams.connections.bootstrap import Bootstrap
from streams.messages.schema import PopularityMessage, RelatedItem, RelatedItems, encode
from streams.recommending.messages import Seller, Sellers
from streams.settings import Settings

DAY_MS = 24 * 3600 * 1000
MADE = 20_000 * DAY_MS
TOLERANCE = 0.001


def entry(item: str, score: float, **more: Any) -> RelatedItem:
    return msgspec.structs.replace(RelatedItem(item, score, 9, 5, 8.0, 2.0), **more)


def listed(*entries: RelatedItem, later_days: int = 0, **more: Any) -> bytes:
    weight = math.exp(-later_days / 30)
    aged = [msgspec.structs.replace(e, recent=e.recent * weight) for e in entries]
    message = RelatedItems("tea", "bought", MADE + later_days * DAY_MS, 1, 30, 90, 80.0 * weight, aged)
    return encode(msgspec.structs.replace(message, **more))


BEST = [entry(f"item {n}", 50.0 - n) for n in range(20)]


@pytest.mark.parametrize(
    ("there", "same", "counts", "others"),
    [
        (listed(*BEST), True, 0, 0),
        (listed(*BEST, version=99), True, 0, 0),
        (listed(*BEST, later_days=3), True, 0, 0),  # decayed sums are brought to the same time
        (listed(*BEST, buyers=31), False, 1, 0),
        (listed(*BEST, mass=80), False, 10, 0),
        (listed(*BEST, recent_mass=70.0), False, 0, 0),
        (listed(entry("item 0", 50.0, together=12), *BEST[1:]), False, 3, 0),
        (listed(entry("item 0", 50.0, after=4), *BEST[1:]), False, 1, 0),
        (listed(entry("item 0", 50.04), *BEST[1:]), True, 0, 0),
        (listed(entry("item 0", 51.0), *BEST[1:]), False, 0, 0),
        (listed(entry("item 0", 50.0, recent=7.0), *BEST[1:]), False, 0, 0),
        (listed(entry("item 0", 50.0, expected=2.5), *BEST[1:]), False, 0, 0),
        (listed(*BEST[:-1]), False, 0, 1),  # it lacks one
        (listed(*BEST[:-1], entry("another", 31.0)), True, 0, 0),  # as good as the one it ends with
        (listed(*BEST[:-1], entry("another", 31.5)), False, 0, 1),
        (listed(entry("better", 60.0), *BEST[:-1]), False, 0, 1),
    ],
)  # fmt: skip
def test_lists(there: bytes, same: bool, counts: int, others: int) -> None:
    for a, b in ((listed(*BEST), there), (there, listed(*BEST))):
        found = of_lists(a, b, TOLERANCE)
        assert (found.within(TOLERANCE), found.counts, found.others) == (same, counts, others)


def test_overlap_of_the_ten_best() -> None:
    moved = listed(*(entry(e.item_id, e.score - (30 if n in (1, 2) else 0)) for n, e in enumerate(BEST)))
    assert of_lists(listed(*BEST), listed(*BEST), TOLERANCE).overlap == 1
    ordered = sorted(msgspec.json.decode(moved, type=RelatedItems).related, key=lambda e: -e.score)
    assert of_lists(listed(*BEST), listed(*ordered), TOLERANCE).overlap == pytest.approx(0.8)


def popular(newest_day: int = 20_000, later_days: int = 0, **more: Any) -> bytes:
    message = PopularityMessage(
        item_id="tea", kind="bought", as_of=MADE + later_days * DAY_MS, version=3, buyers=12,
        newest_day=date(1970, 1, 1) + timedelta(days=newest_day), purchases=[3, 0, 2], first_days=4,
        recent_buyers=9.0 * math.exp(-later_days / 30), repeaters=2, repeat_days=3, repeat_minutes=900,
        customers=50, available=True,
    )  # fmt: skip
    return encode(msgspec.structs.replace(message, **more))


@pytest.mark.parametrize(
    ("there", "same"),
    [
        (popular(), True),
        (popular(customers=70, version=5), True),
        (popular(later_days=2), True),
        (popular(later_days=2, recent_buyers=9.0), False),
        (popular(purchases=[3, 0, 2, 0]), True),
        (popular(newest_day=20_001, purchases=[0, 3, 0, 2]), True),  # the same days
        (popular(newest_day=20_001), False),
        (popular(buyers=13), False),
        (popular(first_days=5), False),
        (popular(repeaters=1), False),
        (popular(repeat_days=4), False),
        (popular(repeat_minutes=901), False),
        (popular(available=False), False),
    ],
)
def test_popularity(there: bytes, same: bool) -> None:
    assert of_popularity(popular(), there, TOLERANCE).within(TOLERANCE) == same
    assert of_popularity(there, popular(), TOLERANCE).within(TOLERANCE) == same


def test_days_that_one_no_longer_shows_are_not_compared() -> None:
    """Popularity is of the newest 28 days at the time of the message."""
    early, late = popular(purchases=[3, *[0] * 26, 5]), popular(later_days=1, purchases=[3])
    assert of_popularity(early, late, TOLERANCE).within(TOLERANCE)
    assert not of_popularity(early, popular(purchases=[3]), TOLERANCE).within(TOLERANCE)


def test_bestsellers() -> None:
    def sellers(*items: Seller) -> bytes:
        return encode(Sellers(kind="bought", as_of=MADE, items=[*items]))

    tea, milk = Seller("tea", 9, 1.5), Seller("milk", 7)
    assert of_sellers(sellers(tea, milk), sellers(tea, milk), TOLERANCE).within(TOLERANCE)
    for wrong in ([milk, tea], [tea], [tea, Seller("milk", 8)], [Seller("tea", 9, 1.7), milk]):
        assert not of_sellers(sellers(tea, milk), sellers(*wrong), TOLERANCE).within(TOLERANCE)


def test_the_other_deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With a file of its settings, how this one is reached says nothing of the other."""
    monkeypatch.setenv("ALSOBOUGHT_TOPIC_PREFIX", "blue-")
    monkeypatch.setenv("ALSOBOUGHT_KAFKA", "here:1")
    settings = Settings.model_validate({})
    here = Deployment(Bootstrap("here:1"), "blue-")

    def named(kafka: str | None = None, prefix: str | None = None, file: Path | None = None) -> Deployment:
        return other(settings, here, kafka=kafka, prefix=prefix, file=file, option="--with")

    assert named(prefix="green-") == Deployment(Bootstrap("here:1"), "green-")
    assert named(kafka="there:1") == Deployment(Bootstrap("there:1"), "")
    assert named(prefix="") == Deployment(Bootstrap("here:1"), "")
    file = tmp_path / "green.toml"
    file.write_text('kafka = "there:2"\ntopic_prefix = "green-"\nreplication = 3\n')
    assert named(file=file) == Deployment(Bootstrap("there:2"), "green-")
    assert named(file=file, prefix="red-").prefix == "red-"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compare",), "--with-prefix PREFIX for one in the same Kafka"),
        (("copy",), "--to-prefix PREFIX for one in the same Kafka"),
        (("compare", "--with-prefix", ""), "both deployments are the same"),
        (("copy", "--to-prefix", "green"), "must consist of letters, digits"),
        (("copy", "--to-settings", "nowhere.toml"), "there is no settings file nowhere.toml"),
    ],
)
def test_what_names_no_other_deployment_is_refused(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALSOBOUGHT_KAFKA", "127.0.0.1:1")
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 1
    assert said in done.stderr
