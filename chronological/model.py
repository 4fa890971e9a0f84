"""A trained network with the ids of its items, as the bytes of a file.

The file is numpy's .npz, without anything pickled:

    header     uint8[...]                JSON: layout, kind, version, trained_until_ms, items, hidden
    ids        uint8[...]                the ids in UTF-8, a newline behind each (ids have none)
    inward     float32[items, hidden]    what an item of the history adds
    outward    float32[items, hidden]    what an item is scored with
    bias       float32[hidden]

The announcement of a model includes the SHA-256 of all these bytes, which `decode` checks first.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass

import numpy as np

from chronological.errors import BadModel
from chronological.network import Network

LAYOUT = 1
_SHAPES = "inward", "outward", "bias"
_TOLD = {"kind": str, "version": int, "trained_until_ms": int}


@dataclass(frozen=True)
class Model:
    """A model of one kind of events.

    Attributes
    ----------
    version
        Of those of the kind a newer one has a larger number.
    trained_until_ms
        Event time of the newest event that it was trained on, ms since 1970.
    ids
        Of the network's items, in their order.
    """

    kind: str
    version: int
    trained_until_ms: int
    ids: list[str]
    network: Network


def encode(model: Model) -> bytes:
    """Return the bytes of a file."""
    net = model.network
    header = {
        "layout": LAYOUT, "kind": model.kind, "version": model.version,
        "trained_until_ms": model.trained_until_ms, "items": len(model.ids), "hidden": len(net.bias),
    }  # fmt: skip
    ids = "".join(f"{name}\n" for name in model.ids).encode()
    file = io.BytesIO()
    np.savez(
        file, header=np.frombuffer(json.dumps(header).encode(), np.uint8), ids=np.frombuffer(ids, np.uint8),
        inward=net.inward, outward=net.outward, bias=net.bias,
    )  # fmt: skip
    return file.getvalue()


def decode(raw: bytes, sha256: str) -> Model:
    """Return the model of a file's bytes.

    Raises
    ------
    BadModel
        If the bytes have another sum, or are no model of this layout.
    """
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise BadModel(f"it is damaged: {len(raw)} bytes with another checksum than was announced")
    try:
        _check_size(raw)
        with np.load(io.BytesIO(raw), allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            if header["layout"] != LAYOUT:
                raise BadModel(f"it has layout {header['layout']}, this program reads {LAYOUT}")
            ids = file["ids"].tobytes().decode().split("\n")[:-1]
            network = Network(*(file[name] for name in _SHAPES))
    except BadModel:
        raise
    except Exception as error:  # numpy and zipfile raise what they come upon in bytes that are no such file
        raise BadModel(f"it is no model: {error!r}") from error
    _check(header, ids, network)
    return Model(header["kind"], header["version"], header["trained_until_ms"], ids, network)


def _check_size(raw: bytes) -> None:
    """Refuse a file that would take much more memory than its bytes; models are written uncompressed."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        members = file.infolist()
    if any(m.compress_type != zipfile.ZIP_STORED or m.file_size > len(raw) for m in members):
        raise BadModel("it is no model: parts of it are compressed, or larger than the file")


def _check(header: dict[str, object], ids: list[str], network: Network) -> None:
    for name, of in _TOLD.items():
        if type(header.get(name)) is not of:  # a bool is no int here
            raise BadModel(f"it is no model: {name} of its header {header} is no {of.__name__}")
    items, hidden = header.get("items"), header.get("hidden")
    shapes = [getattr(network, name).shape for name in _SHAPES]
    whole = shapes == [(items, hidden), (items, hidden), (hidden,)] and len(ids) == items
    arrays = [getattr(network, name) for name in _SHAPES]
    if not whole or any(a.dtype != np.float32 or not np.isfinite(a).all() for a in arrays):
        raise BadModel(f"it is no model: {len(ids)} ids and arrays {shapes} do not fit its header {header}")
