"""The manifest of a checkpoint: JSON, with a checksum of its own."""

from __future__ import annotations

import hashlib

import msgspec

from streams.stores.checkpoints.errors import BadManifest

LAYOUT = 1


class StoredFile(msgspec.Struct, frozen=True):
    """A file of the store.

    Attributes
    ----------
    own
        The name it is stored under, if it belongs to one checkpoint alone; a shared file is stored under its
        SHA-256.
    """

    name: str
    bytes: int
    sha256: str
    own: str = ""

    @property
    def stored_as(self) -> str:
        """The name it is stored under."""
        return self.own or self.sha256


class Checkpoint(msgspec.Struct, kw_only=True):
    """A task's store at one moment.

    Attributes
    ----------
    number
        It grows with every checkpoint of the task.
    position
        The offset of the input topic that a restart from it replays from, or an earlier one.
    log
        The Kafka topics it was counted from.
    created_ms
        When it was made, ms since 1970.
    problem
        What is wrong with it; empty if nothing is known to be.
    """

    layout: int = LAYOUT
    task: str
    number: int
    name: str
    position: int
    log: str
    created_ms: int
    files: list[StoredFile]
    problem: str = ""

    @property
    def bytes(self) -> int:
        """The bytes of all its files."""
        return sum(file.bytes for file in self.files)


class _Signed(msgspec.Struct):
    sha256: str
    checkpoint: msgspec.Raw


# made here, not at the first use: msgspec ends the process if two threads use a type first at the same time
_decode_signed = msgspec.json.Decoder(_Signed).decode
_decode_checkpoint = msgspec.json.Decoder(Checkpoint).decode


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of a manifest."""
    raw = msgspec.json.encode(checkpoint)
    return msgspec.json.encode(_Signed(hashlib.sha256(raw).hexdigest(), msgspec.Raw(raw)))


def decode(raw: bytes) -> Checkpoint:
    """Return the checkpoint of a manifest's bytes.

    Raises
    ------
    BadManifest
    """
    try:
        signed = _decode_signed(raw)
        if hashlib.sha256(signed.checkpoint).hexdigest() != signed.sha256:
            raise BadManifest("the manifest is damaged: its checksum is not that of its content")
        layout = msgspec.json.decode(signed.checkpoint, type=dict[str, object]).get("layout")
        if layout != LAYOUT:
            raise BadManifest(f"the manifest has layout {layout}, this program reads {LAYOUT}")
        return _decode_checkpoint(signed.checkpoint)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"the manifest is damaged: {error}") from error
