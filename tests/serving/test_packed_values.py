"""Messages that are kept as they came or compressed are the newest of their keys."""

from __future__ import annotations

import random

import pytest

from serving.packed_values import PackedValues


@pytest.mark.parametrize("recent_bytes", [0, 500, 5_000, 1 << 20])
def test_they_are_a_dictionary_of_the_newest(recent_bytes: int) -> None:
    choose = random.Random(recent_bytes)
    values, oracle = PackedValues(recent_bytes), dict[str, bytes]()
    versions: dict[str, set[int | None]] = {}
    for _ in range(3_000):
        key = f"item {choose.randrange(60)}"
        if choose.random() < 0.1:
            values.remove(key)
            oracle.pop(key, None)
        else:
            raw = choose.randbytes(choose.randrange(100))
            before = values.version(key) if oracle.get(key) != raw else None
            values.put(key, raw)
            oracle[key] = raw
            assert values.version(key) is not None
            assert values.version(key) != before
            versions.setdefault(key, set()).add(values.version(key))
        asked = f"item {choose.randrange(60)}"
        assert values.get(asked) == oracle.get(asked)
        assert (values.version(asked) is None) == (asked not in oracle) == (asked not in values)
        assert len(values) == len(oracle)
    assert set(values) == oracle.keys()
    assert {key: values.get(key) for key in values} == oracle
    assert len({n for of in versions.values() for n in of}) == sum(map(len, versions.values()))


def test_what_came_last_is_kept_as_it_came_within_its_bound() -> None:
    values = PackedValues(10_000)
    for number in range(100):
        values.put(str(number), bytes(1_000))
    assert len(values._recent) == 10
    assert list(values._recent) == [str(number) for number in range(90, 100)]
    assert all(len(one.packed) < 100 for one in values._packed.values())
    version = values.version("50")
    values.put("99", bytes(1_000))  # the same once more
    assert values._recent_bytes == 10_000
    values.put("50", bytes(9_500))
    assert values.version("50") != version
    assert list(values._recent) == ["50"]
