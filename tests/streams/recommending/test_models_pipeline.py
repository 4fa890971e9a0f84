"""A model is trained, announced, used for recommendations, damaged, and replaced."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from alsobought.cli import app
from chronological.model import Model, decode
from streams.broker.embedded import EmbeddedKafka
from streams.messages.schema import REPORTED
from streams.recommending.messages import ModelAnnounced, decode_model
from streams.recommending.models import announce, newest_version, write
from streams.topics import MODELS, PURCHASES
from tests.events import DAY_MS, START_MS
from tests.streams.pipeline import PARTITIONS, until
from tests.streams.recommending.shop import Shop, check, events, opened

CUSTOMERS = 80

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def shop(new_kafka: Callable[[], EmbeddedKafka], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened(new_kafka(), tmp_path_factory.mktemp("shop")) as shop:
        shop.publish(events(31, CUSTOMERS, 1_200, days=45))
        shop.settle()
        yield shop


def in_use(shop: Shop) -> set[int]:
    """Return the versions that the tasks of all partitions report."""
    shop.wires.poll_progress()
    tasks = [shop.wires.tasks.get(f"{REPORTED}{PURCHASES.name}-{p}") for p in range(PARTITIONS)]
    return {-2 if task is None else task.model for task in tasks}


def train(shop: Shop, *words: object) -> Result:
    where = "--kafka", shop.wires.bootstrap.servers, "--data-dir", shop.data
    return CliRunner().invoke(app, ["train", *map(str, (*words, *where))])


def announced(shop: Shop) -> ModelAnnounced:
    return decode_model(msgspec.json.encode(shop.wires.newest(MODELS)["bought"]))


def model(published: ModelAnnounced) -> Model:
    return decode(Path(published.url).read_bytes(), published.sha256)


def goes_on(shop: Shop, seed: int, day: int) -> None:
    """Check that purchases are still counted, recommended by and answered."""
    some = events(seed, CUSTOMERS, 200, start_ms=START_MS + day * DAY_MS, days=1)
    shop.publish(some)
    shop.settle()
    published, histories = shop.recommendations(), shop.histories()
    for customer in {event.customer_id for event in some}:
        check(published[customer], histories[customer])
        assert published[customer]["items"]
    (answer,) = shop.ask("c70", shelf="new", k=6)
    assert len(answer["items"]) == 6


def logged(shop: Shop, text: str) -> bool:
    return text in shop.recommender.log.read_text(errors="replace")


def test_a_trained_model_is_taken_by_the_running_recommender(shop: Shop) -> None:
    assert in_use(shop) == {-1}
    result = train(shop, "--json")
    assert result.exit_code == 0, result.stderr
    published = json.loads(result.stdout)
    newest = max(int(event.timestamp) for event in shop.log)
    assert (published["kind"], published["version"], published["trained_until"]) == ("bought", 1, newest)
    assert Path(published["url"]).is_relative_to(shop.data / "models")
    found = announced(shop)
    assert (found.url, found.sha256, found.items) == (
        published["url"],
        published["sha256"],
        published["items"],
    )
    bought = {event.item_id for event in shop.log}
    assert set(model(found).ids) <= bought
    assert len(model(found).ids) > 0.8 * len(bought)
    until(lambda: in_use(shop) == {1}, "the model in use")
    goes_on(shop, 32, 46)


def test_a_bad_model_stops_nothing_and_a_newer_one_is_taken(shop: Shop) -> None:
    good, folder = model(announced(shop)), str(shop.data / "models")

    def next_one() -> ModelAnnounced:
        version = newest_version(shop.wires.bootstrap, "bought") + 1
        return write(folder, Model("bought", version, good.trained_until_ms, good.ids, good.network))

    damaged = next_one()
    raw = bytearray(Path(damaged.url).read_bytes())
    raw[-200] ^= 1
    Path(damaged.url).write_bytes(raw)
    announce(shop.wires.bootstrap, damaged)
    until(lambda: logged(shop, f"{damaged.url}: it is damaged"), "its word on the damaged model")
    goes_on(shop, 33, 48)
    assert in_use(shop) == {1}

    missing = next_one()
    Path(missing.url).unlink()
    announce(shop.wires.bootstrap, missing)
    until(lambda: logged(shop, f"the chronological model {missing.version} of bought cannot be used"), "word")
    shop.wires.publish(MODELS.name, [(b"bought", b"no JSON")])
    goes_on(shop, 34, 50)
    assert in_use(shop) == {1}
    assert logged(shop, "Recommending continues with version 1")

    newer = next_one()
    assert newer.version == 4
    announce(shop.wires.bootstrap, newer)
    until(lambda: in_use(shop) == {4}, "the newer model in use")
    goes_on(shop, 35, 52)


def test_after_a_sudden_death_the_model_is_there_again(shop: Shop) -> None:
    shop.recommender.stop(signal.SIGKILL)
    shop.restart()
    until(lambda: in_use(shop) == {4}, "the model in use")
    goes_on(shop, 36, 54)


def test_the_next_training_is_of_all_events_and_replaces_it(shop: Shop) -> None:
    result = train(shop, "--seed", 1)
    assert result.exit_code == 0, result.stderr
    assert "trained version 5 of bought" in result.stdout
    assert "by popularity alone" in result.stdout
    until(lambda: in_use(shop) == {5}, "the new model in use")
    shop.wires.publish(MODELS.name, [(b"bought", None)])
    until(lambda: in_use(shop) == {-1}, "no model in use")
    goes_on(shop, 37, 56)


def test_errors_of_training_are_reported(shop: Shop, tmp_path: Path) -> None:
    def trouble(*words: object) -> str:
        result = train(shop, *words)
        assert result.exit_code == 1, result.stdout
        return result.stderr

    assert "there is no event of an item that 3 customers have" in trouble("--kind", "watched")
    assert "there is no interrupted training of bought: leave --resume out" in trouble("--resume")
    assert "the kind of events must be one of bought, watched, but is 'liked'" in trouble("--kind", "liked")
    assert "no such file" in trouble(tmp_path / "missing.csv").lower()
    few = tmp_path / "few.csv"
    rows = [f"c{n},tea,2026-01-{n % 9 + 10}" for n in range(30)]
    few.write_text("customer_id,item_id,timestamp\n" + "\n".join(rows))
    assert "too little to learn from" in trouble(few)
    file = tmp_path / "file"
    file.write_text("")
    assert "Correct ALSOBOUGHT_MODEL_DIR" in trouble("--model-dir", file)
    assert train(shop, "--resume").exit_code == 0  # it was trained, but not written
    until(lambda: in_use(shop) == {announced(shop).version}, "the model in use")
    assert "there is no interrupted training of bought" in trouble("--resume")
