"""Models are written, read, refused, and followed by a recommender's board, without Kafka."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec
import numpy as np
import pytest

from chronological.model import Model
from chronological.network import Network
from streams.connections.bootstrap import Bootstrap
from streams.kinds import BUILT_IN
from streams.messages.schema import encode
from streams.recommending import models
from streams.recommending.board import Board, Boards
from streams.recommending.follower import BoardFollower
from streams.recommending.messages import ModelAnnounced


def model(version: int, *, kind: str = "bought", ids: tuple[str, ...] = ("tea", "milk")) -> Model:
    rng = np.random.default_rng(version)
    net = Network.new(len(ids), rng, hidden=4)
    net.outward[:] = rng.normal(size=net.outward.shape)
    return Model(kind, version, 1_700_000_000_000, list(ids), net)


def path_of(answer: ModelAnnounced) -> Path:
    return Path(answer.url)


def test_written_files_can_be_read(tmp_path: Path) -> None:
    made = model(3)
    answer = models.write(str(tmp_path), made)
    assert (answer.kind, answer.version, answer.items) == ("bought", 3, 2)
    assert answer.trained_until == made.trained_until_ms
    assert answer.bytes == path_of(answer).stat().st_size
    found = models.read(answer)
    assert (found.version, list(found.items)) == (3, ["tea", "milk"])
    np.testing.assert_array_equal(found.inward, made.network.inward)
    np.testing.assert_array_equal(found.outward, made.network.outward)
    np.testing.assert_array_equal(found.bias, made.network.bias)


def test_models_go_to_any_url_of_fsspec() -> None:
    answer = models.write("memory://models-of-test", model(1))
    assert answer.url.startswith("memory://models-of-test/bought/00000001-")
    assert models.read(answer).version == 1


def test_the_last_files_of_a_kind_are_kept(tmp_path: Path) -> None:
    other = models.write(str(tmp_path), model(1, kind="bought-again"))
    answer = [models.write(str(tmp_path), model(version)) for version in range(1, 6)]
    assert [path_of(one).exists() for one in answer] == [False, False, True, True, True]
    assert path_of(other).exists()
    assert len(list(tmp_path.rglob("*.*"))) == 4  # no partial file is left


def test_versions_that_begin_anew_replace_earlier_ones(tmp_path: Path) -> None:
    before = [models.write(str(tmp_path), model(version)) for version in (5, 6, 7)]
    now: list[ModelAnnounced] = []
    for version, left in ((1, [6, 7]), (2, [7]), (3, []), (4, [])):
        now.append(models.write(str(tmp_path), model(version)))
        assert all(models.read(answer).version == answer.version for answer in now[-3:])
        assert [answer.version for answer in before if path_of(answer).exists()] == left
    assert not path_of(now[0]).exists()
    # it is written once more, because it could not be announced
    assert models.write(str(tmp_path), model(4)) == now[-1]
    assert models.read(now[-1]).version == 4


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for url in (str(tmp_path / "file"), "unheardof://bucket"):
        with pytest.raises(models.ModelError, match=r"cannot write .*ALSOBOUGHT_MODEL_DIR"):
            models.write(url, model(1))


def broken(answer: ModelAnnounced, how: str) -> ModelAnnounced:
    """Return an announcement with an error in it."""
    if how == "missing":
        path_of(answer).unlink()
    elif how == "damaged":
        raw = bytearray(path_of(answer).read_bytes())
        raw[len(raw) // 2] ^= 1
        path_of(answer).write_bytes(raw)
    elif how == "cut":
        path_of(answer).write_bytes(path_of(answer).read_bytes()[:100])
    return msgspec.structs.replace(
        answer,
        version=9 if how == "another version" else answer.version,
        kind="watched" if how == "another kind" else answer.kind,
        url="unheardof://bucket/x.npz" if how == "a url nobody knows" else answer.url,
    )


HOW = ("missing", "damaged", "cut", "another version", "another kind", "a url nobody knows")


@pytest.mark.parametrize("how", HOW)
def test_bad_models_are_refused(tmp_path: Path, how: str) -> None:
    answer = broken(models.write(str(tmp_path), model(2)), how)
    with pytest.raises(models.ModelError, match=answer.url.rpartition("/")[2]):
        models.read(answer)


def test_an_item_named_twice_is_refused(tmp_path: Path) -> None:
    answer = models.write(str(tmp_path), model(1, ids=("tea", "tea")))
    with pytest.raises(models.ModelError, match="twice"):
        models.read(answer)


def boards(place: Path) -> tuple[Boards, Board, models.Models]:
    made = Boards(BUILT_IN, 20)
    return made, made.by_kind["bought"], models.Models(made, str(place))


@pytest.mark.parametrize(
    "url",
    [
        "{place}/../bought/{name}", "{place}/watched/{name}", "{place}/bought/../bought/{name}",
        "file://{place}/bought/{name}", "simplecache::file://{place}/bought/{name}", "/etc/passwd",
        "http://169.254.169.254/latest/{name}", "{place}/bought/", "", "{place}/bought/x.npz",
        "{place}/bought/{name}\nforged",
    ],
)  # fmt: skip
def test_what_is_announced_to_be_elsewhere_is_not_read(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "read", lambda _: pytest.fail("it is read"))
    _, board, follower = boards(tmp_path)
    answer = models.write(str(tmp_path), model(1))
    hostile = url.format(place=tmp_path, name=path_of(answer).name)
    board.announced = msgspec.structs.replace(answer, url=hostile)
    asyncio.run(follower.follow(board))
    assert board.model is None
    assert "is not read: set ALSOBOUGHT_MODEL_DIR" in caplog.text
    assert "\nforged" not in caplog.text
    models.check_place(answer, f"{tmp_path}/")


@pytest.mark.parametrize("how", HOW)
def test_a_board_continues_with_the_model_it_has(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, board, follower = boards(tmp_path)
    good, bad, newer = (models.write(str(tmp_path), model(version)) for version in (1, 2, 3))
    bad = broken(bad, how)

    async def run() -> None:
        await follower.follow(board)
        assert board.model is None
        board.announced = bad
        for _ in range(3):
            await follower.follow(board)
        assert board.model is None
        board.announced = good
        await follower.follow(board)
        used = board.model
        assert used is not None
        assert used.version == 1
        board.announced = bad
        for _ in range(3):
            await follower.follow(board)
        assert board.model is used
        board.announced = newer
        await follower.follow(board)
        assert board.model is not None
        assert board.model.version == 3

    with caplog.at_level(logging.INFO, "alsobought"):
        asyncio.run(run())
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 2  # it is not repeated again and again
    assert bad.url in errors[0]
    assert "continues without one" in errors[0]
    assert "continues with version 1" in errors[1]
    assert all("train again" in error for error in errors)


def test_a_file_that_comes_late_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, board, follower = boards(tmp_path)
    answer = models.write(str(tmp_path), model(1))
    away = path_of(answer).rename(tmp_path / "away")
    board.announced = answer

    async def run() -> None:
        await follower.follow(board)
        away.rename(path_of(answer))
        await follower.follow(board)  # this is too soon after the last look
        assert board.model is None
        monkeypatch.setattr(models, "AGAIN_S", 0.0)
        await follower.follow(board)
        assert board.model is not None

    asyncio.run(run())


def test_a_model_is_read_once_and_withdrawn_by_a_tombstone(tmp_path: Path) -> None:
    made, board, follower = boards(tmp_path)
    answer = models.write(str(tmp_path), model(1))
    reader = BoardFollower(Bootstrap("nowhere"), made)

    async def run() -> None:
        reader._take_model(b"bought", encode(answer))
        await follower.follow(board)
        used = board.model
        assert used is not None
        path_of(answer).unlink()
        reader._take_model(b"bought", encode(answer))
        reader._take_model(b"unheard of", encode(msgspec.structs.replace(answer, kind="unheard of")))
        await follower.follow(board)
        assert board.model is used
        reader._take_model(b"bought", None)
        reader._take_model(b"unheard of", None)
        await follower.follow(board)
        assert board.model is None
        assert made.by_kind["watched"].model is None

    asyncio.run(run())
