"""Ids of any printable characters, from a file through the workers to every command that takes or shows one."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import pytest

from alsobought.sources import open_purchases
from tests.alsobought.test_stack import Up

ODD = (
    "..", ".", "a/../b", "/", "?", "a?k=2", "#", "%", "%2F", "a b", "+", "&=;", "{x}", "'", '"', "<b>", "\\",
    "\\n", "~", "😀", "é", "日本", "a,b", "null", "--k", "[red]",
)  # fmt: skip

pytestmark = pytest.mark.timeout(240)


def test_every_command_takes_them(tmp_path: Path) -> None:
    with (tmp_path / "sales.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["customer_id", "item_id", "timestamp"])
        # Each of three customers of its own buys the odd item and tea; the first is called as the item.
        for n, odd in enumerate(ODD):
            for customer in (odd, f"b{n}", f"c{n}"):
                rows.writerow([customer, odd, "2026-01-31"])
                rows.writerow([customer, "tea", "2026-02-01"])
    assert len([1 for batch in open_purchases(str(tmp_path / "sales.csv")).messages() for _ in batch]) == 156
    up = Up(tmp_path)
    try:
        up.run("publish", "purchases", tmp_path / "sales.csv")
        told = up.json("drain", "--timeout", 120)
        assert (told["purchases"], told["refused"]) == (156, 0)
        lists = tmp_path / "lists.jsonl"
        up.run("export", "related-items", lists)
        exported = {row["item_id"]: row for row in map(json.loads, lists.read_text().splitlines())}
        assert exported.keys() >= {*ODD, "tea"}
        for odd in ODD:
            assert [entry["item_id"] for entry in up.json("related", "--", odd)["related"]] == ["tea"]
            assert up.json("inspect", "item", "--", odd)["buyers"] == 3
            history = up.json("inspect", "customer", "--", odd)["history"]
            assert [entry["item_id"] for entry in history] == [odd, "tea"]
        up.run("recommend", "--", ODD[0])
        up.run("bestsellers")
        for odd in ODD[:3]:
            up.run("forget", "--", odd)
        up.run("drain", "--timeout", 120)
        assert [up.json("inspect", "item", "--", odd)["buyers"] for odd in ODD[:4]] == [2, 2, 2, 3]
    finally:
        up.end(signal.SIGTERM)
        assert up.process.stdout is not None
        up.process.stdout.close()
