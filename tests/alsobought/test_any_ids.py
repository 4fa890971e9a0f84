"""Ids may have any printable characters, from a file through the workers to every command."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from alsobought.cli import app
from tests.alsobought.test_stack import Up

ODD = ("..", "a/../b", "?k=2#", "%2F", "+ &=;", "{x}", "'\"<b>\\n", "😀 é", "--k", "[red]")

pytestmark = pytest.mark.timeout(240)


def test_every_command_takes_them(tmp_path: Path) -> None:
    def run(*words: object, of: str | None = None) -> str:
        """Return the output of a command about an id, run in this process because a new one takes longer."""
        drained = [*words, "--data-dir", tmp_path, *(("--", of) if of is not None else ())]
        done = CliRunner().invoke(app, [str(word) for word in drained])
        assert done.exit_code == 0, (drained, done.output)
        return done.stdout

    def asked(*words: object, of: str | None = None) -> Any:
        return json.loads(run(*words, "--json", of=of))

    sales = tmp_path / "sales.csv"
    with sales.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["customer_id", "item_id", "timestamp"])
        # For each id, three customers buy the odd item and tea; the first has the same id as the item.
        for n, odd in enumerate(ODD):
            for customer in (odd, f"b{n}", f"c{n}"):
                rows.writerow([customer, odd, "2026-01-31"])
                rows.writerow([customer, "tea", "2026-02-01"])
    count = 6 * len(ODD)
    up = Up(tmp_path)
    try:
        assert run("publish", "purchases", sales).startswith(f"{count} records ")
        drained = asked("drain", "--timeout", 120)
        assert (drained["purchases"], drained["refused"]) == (count, 0)
        lists = [json.loads(line) for line in run("export", "related-items").splitlines()]
        assert {found["item_id"] for found in lists} == {*ODD, "tea"}
        for odd in ODD:
            assert [entry["item_id"] for entry in asked("related", of=odd)["related"]] == ["tea"]
            assert asked("inspect", "item", of=odd)["buyers"] == 3
            history = asked("inspect", "customer", of=odd)["history"]
            assert [entry if isinstance(entry, str) else entry["item_id"] for entry in history] == [
                odd,
                "tea",
            ]
            assert asked("recommend", of=odd)["customer_id"] == odd
        for odd in ODD:
            run("forget", of=odd)
        asked("drain", "--timeout", 120)
        assert [asked("inspect", "item", of=odd)["buyers"] for odd in ODD] == [2] * len(ODD)
    finally:
        up.end(signal.SIGTERM)
        assert up.process.stdout is not None
        up.process.stdout.close()
