"""Chronological models: they are written where all workers can read them, announced, and loaded.

    <model_dir>/<kind>/<version>-<beginning of the sum>.npz      topic models: kind ──► url, sum, version

Recommenders recommend without a model as well as they can. A model that cannot be read is named in the log;
the one in use stays in use, and reading is tried again until it succeeds or another model is announced.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import time

import msgspec

from chronological.model import Model, decode, encode
from recommending.chronological import ChronologicalModel
from state.memory.ids import Dictionary
from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import read_all, send
from streams.messages.schema import encode as encode_message
from streams.process.threads import in_thread
from streams.recommending.board import Board, Boards
from streams.recommending.messages import ModelAnnounced, decode_model
from streams.stores.checkpoints.errors import CheckpointError
from streams.stores.checkpoints.remote import Remote
from streams.topics import MODELS

log = logging.getLogger("alsobought")

_FILE = re.compile(r"[0-9]{8,}-[0-9a-f]{8}\.npz")
KEPT = 3  # files of a kind: a recommender may be about to read the one before
LOOK_S = 0.5
AGAIN_S = 30.0


class ModelError(Exception):
    """A model cannot be written or read; the message says where and why."""


def newest_version(bootstrap: Bootstrap, kind: str) -> int:
    """Return the largest version that was announced of a kind; 0 if none was.

    Raises
    ------
    KafkaUnreachable, TopicAbsent
    """
    newest = 0
    for row in read_all(bootstrap, MODELS):
        with contextlib.suppress(
            msgspec.MsgspecError
        ):  # written by somebody else; recommenders ignore it too
            if row.value is not None and (announcement := decode_model(row.value)).kind == kind:
                newest = max(newest, announcement.version)
    return newest


def write(url: str, model: Model) -> ModelAnnounced:
    """Write a model's file, whole or not at all, and delete the oldest; return the announcement.

    Files of larger versions are the oldest: they are from before the topic was created again.

    Raises
    ------
    ModelError
    """
    raw = encode(model)
    sha256 = hashlib.sha256(raw).hexdigest()
    version = f"{model.version:08}"
    file = f"{version}-{sha256[:8]}.npz"
    name = f"{model.kind}/{file}"
    try:
        remote = Remote(url)
        remote.make_folder(model.kind)
        remote.write(name, raw)
        others = [n for n in remote.names(model.kind) if n.endswith(".npz") and n != file]
        others.sort(key=lambda n: (n.partition("-")[0] <= version, n))
        for old in others[: 1 - KEPT]:
            remote.delete(f"{model.kind}/{old}")
    except (OSError, CheckpointError) as error:
        raise ModelError(
            f"cannot write {name} to {url}: {error}. Correct ALSOBOUGHT_MODEL_DIR, or what it names."
        ) from error
    return ModelAnnounced(
        kind=model.kind, version=model.version, url=f"{url.rstrip('/')}/{name}", sha256=sha256,
        bytes=len(raw), trained_until=model.trained_until_ms, items=len(model.ids),
    )  # fmt: skip


def announce(bootstrap: Bootstrap, announcement: ModelAnnounced) -> None:
    """Make all recommenders use a model. Raises KafkaUnreachable."""
    send(bootstrap, MODELS, [(None, announcement.kind.encode(), encode_message(announcement))])


def check_place(announcement: ModelAnnounced, url: str) -> None:
    """Refuse what is announced to be elsewhere than models are, for anybody might have announced it.

    Raises
    ------
    ModelError
    """
    folder, _, name = announcement.url.rpartition("/")
    if folder != f"{url.rstrip('/')}/{announcement.kind}" or not _FILE.fullmatch(name):
        raise ModelError(
            f"{announcement.url[:200]!a} is no model of {announcement.kind} in {url}, and is not read: set"
            " ALSOBOUGHT_MODEL_DIR to the same for recommenders and `alsobought train`"
        )


def read(announcement: ModelAnnounced) -> ChronologicalModel:
    """Return an announced model.

    Raises
    ------
    ModelError
        If the file is not there, is damaged, or is another model than was announced.
    """
    folder, _, name = announcement.url.rpartition("/")
    try:
        model = decode(Remote(folder).read(name), announcement.sha256)
    except Exception as error:  # a remote file system may raise anything; recommenders continue without
        raise ModelError(f"{announcement.url}: {str(error) or repr(error)}") from error
    if (model.kind, model.version) != (announcement.kind, announcement.version):
        raise ModelError(
            f"{announcement.url} is version {model.version} of {model.kind}, but was announced as"
            f" {announcement.version} of {announcement.kind}"
        )
    items, net = Dictionary(), model.network
    for item_id in model.ids:
        items.number(item_id)
    if len(items) != len(model.ids):
        raise ModelError(f"{announcement.url} names an item twice")
    return ChronologicalModel(model.version, items, net.inward, net.outward, net.bias)


class Models:
    """Loads the announced models into the boards, in a thread; those alone that are below a URL."""

    def __init__(self, boards: Boards, url: str) -> None:
        self._url = url
        self._boards = list(boards.by_kind.values())
        self._tried: dict[str, tuple[ModelAnnounced, float]] = {}  # that could not be read, and when
        self._in_use: dict[str, ModelAnnounced] = {}

    async def run(self) -> None:
        """Load models until cancelled."""
        while True:
            for board in self._boards:
                await self.follow(board)
            await asyncio.sleep(LOOK_S)

    async def follow(self, board: Board) -> None:
        """Load the announced model of a board, unless it is in use or was tried just now."""
        announcement, name = board.announced, board.kind.name
        if announcement is None:
            if self._in_use.pop(name, None) is not None:
                board.model = None
                log.info("recommending by %s events without a chronological model: it was withdrawn", name)
            return
        tried, at = self._tried.get(name, (None, 0.0))
        if announcement == self._in_use.get(name) or (
            announcement == tried and time.monotonic() - at < AGAIN_S
        ):
            return
        try:
            check_place(announcement, self._url)
            board.model = await in_thread(read, announcement)
        except ModelError as error:
            self._tried[name] = announcement, time.monotonic()
            if announcement != tried:
                log.error(
                    "the chronological model %d of %s cannot be used: %s. Recommending continues %s. Let"
                    " this recommender read the file (ALSOBOUGHT_MODEL_DIR of `alsobought train`), or train"
                    " again; it is tried again every %.0f s.",
                    announcement.version, name, error,
                    f"with version {board.model.version}" if board.model else "without one", AGAIN_S,
                )  # fmt: skip
            return
        self._in_use[name] = announcement
        self._tried.pop(name, None)
        log.info(
            "chronological model %d of %s is in use: %d items",
            announcement.version,
            name,
            announcement.items,
        )
