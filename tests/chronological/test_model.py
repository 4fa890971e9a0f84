"""A model's file is the same after a round trip, and any other file is refused."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest

from chronological.errors import BadModel
from chronological.model import LAYOUT, Model, decode, encode
from chronological.network import Network


def model() -> Model:
    rng = np.random.default_rng(1)
    net = Network.new(5, rng, hidden=3)
    net.outward[:] = rng.normal(size=(5, 3))
    return Model("bought", 7, 1_700_000_000_000, ["tea", "Käse", "i 1", "a" * 200, "0"], net)


def sum_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def test_round_trip() -> None:
    raw = encode(model())
    found = decode(raw, sum_of(raw))
    assert (found.kind, found.version, found.trained_until_ms) == ("bought", 7, 1_700_000_000_000)
    assert found.ids == model().ids
    for name in ("inward", "outward", "bias"):
        np.testing.assert_array_equal(getattr(found.network, name), getattr(model().network, name))
    assert encode(found) == raw


def test_another_sum_is_refused() -> None:
    raw = encode(model())
    for broken in (raw[:-1], b"", raw + b"\0", raw[:99] + bytes([raw[99] ^ 1]) + raw[100:]):
        with pytest.raises(BadModel, match="another checksum than was announced"):
            decode(broken, sum_of(raw))


def changed(**arrays: Any) -> bytes:
    """Write a file with some of its arrays replaced, or left out where the value is None."""
    with np.load(io.BytesIO(encode(model()))) as file:
        content = {name: file[name] for name in file.files}
    content |= arrays
    out = io.BytesIO()
    np.savez(out, **{name: value for name, value in content.items() if value is not None})
    return out.getvalue()


def header(without: str = "", **more: Any) -> Any:
    contents = {
        "layout": LAYOUT,
        "kind": "bought",
        "version": 7,
        "trained_until_ms": 1,
        "items": 5,
        "hidden": 3,
    }
    contents = {name: value for name, value in (contents | more).items() if name != without}
    return np.frombuffer(json.dumps(contents).encode(), np.uint8)


class Loud:
    """An object whose unpickling would fail the test."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("something was unpickled",)


def pickled() -> Any:
    array = np.empty(1, object)
    array[0] = Loud()
    return array


def not_arrays() -> bytes:
    """Write a zip file of bytes, which numpy returns as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("header", b"{}")
    return out.getvalue()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (changed(header=header(layout=LAYOUT + 1)), f"layout {LAYOUT + 1}"),
        (changed(header=header(items=4)), "do not fit"),
        (changed(header=header(hidden=4)), "do not fit"),
        (changed(header=header("kind")), "kind of its header .* is no str"),
        (changed(header=header("version")), "version of its header .* is no int"),
        (changed(header=header("trained_until_ms")), "trained_until_ms of its header .* is no int"),
        (changed(header=header(kind=7)), "kind of its header"),
        (changed(header=header(version="7")), "version of its header"),
        (changed(header=header(version=True)), "version of its header"),
        (changed(header=header(trained_until_ms=None)), "trained_until_ms of its header"),
        (changed(header=np.frombuffer(b"[1]", np.uint8)), "no model"),
        (changed(header=np.frombuffer(b"\xff{", np.uint8)), "no model"),
        (changed(ids=np.frombuffer(b"a\nb\n", np.uint8)), "do not fit"),
        (changed(ids=np.frombuffer(b"\xff\n" * 5, np.uint8)), "no model"),
        (changed(outward=None), "no model"),
        (changed(inward=np.zeros((5, 3))), "do not fit"),
        (changed(bias=np.full(3, np.nan, np.float32)), "do not fit"),
        (changed(bias=pickled()), "no model"),
        (pickle.dumps(Loud()), "no model"),
        (b"nonsense", "no model"),
        (b"", "no model"),
        (not_arrays(), "no model"),
    ],
    ids=range(22),
)
def test_files_that_are_no_model_are_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(BadModel, match=reason):
        decode(raw, sum_of(raw))
