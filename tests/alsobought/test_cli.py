"""Every command has help; what goes wrong is told in a line, with status 1 and no traceback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from alsobought.cli import app

CLOSED = "127.0.0.1:1"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def commands(command: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    command = command if command is not None else typer.main.get_command(app)
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA", "DATA_DIR", "PARTITIONS", "EVENT_TYPES"):
        monkeypatch.delenv(f"ALSOBOUGHT_{name}", raising=False)


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    _, about, *_ = result.output.split("\n\n")
    assert len(about) > 20, "it says what it does"


READING = [
    ("related", "tea"),
    ("watch",),
    ("drain",),
    ("worker",),
    ("recommender",),
    ("serve",),
    ("topics", "create"),
    ("topics", "list"),
    ("export", "related-items"),
    ("inspect", "item", "tea"),
    ("inspect", "customer", "ann"),
    ("related", "tea", "--kind", "watched"),
    ("forget", "ann"),
    ("dead-letters",),
    ("checkpoint", "now"),
    ("rebuild", "--yes"),
    ("publish", "purchases", "complete-journey"),
    ("publish", "items", "complete-journey"),
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_without_a_stack_it_says_how_to_start_one(words: tuple[str, ...], tmp_path: Path) -> None:
    result = run(*words, "--data-dir", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == (
        f"alsobought: no local stack is running in {tmp_path}:"
        " start one with `alsobought up`, or give --kafka.\n"
    )


@pytest.mark.parametrize("words", READING, ids=" ".join)
@pytest.mark.timeout(30)
def test_a_wrong_address_is_named(words: tuple[str, ...]) -> None:
    result = run(*words, "--kafka", CLOSED)
    assert result.exit_code == 1
    assert f"no Kafka answers at {CLOSED}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_a_dead_program_wrote_is_not_believed(tmp_path: Path) -> None:
    left = {"bootstrap": CLOSED, "pid": 2**22 + 1, "started": 1.0, "workers": []}
    (tmp_path / "stack.json").write_text(json.dumps(left))
    assert "no local stack is running" in run("topics", "list", "--data-dir", tmp_path).stderr


@pytest.mark.parametrize("what", ["purchases", "watches", "items"])
def test_a_file_that_is_not_there(what: str, tmp_path: Path) -> None:
    result = run("publish", what, tmp_path / "sales.csv", "--kafka", CLOSED)
    assert result.exit_code == 1
    assert str(tmp_path / "sales.csv") in result.stderr


def test_an_unknown_format() -> None:
    result = run("publish", "purchases", "sales.docx", "--kafka", CLOSED)
    assert result.exit_code == 1
    assert "sales.docx: the name tells no known format" in result.stderr


def test_bad_rows_are_named_and_nothing_is_published(tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("customer_id,item_id,timestamp\nann,tea,2026-01-31 12:00:00\nbob,milk,soon\n")
    result = run("publish", "purchases", file, "--kafka", CLOSED)
    assert result.exit_code == 1
    assert f"{file}:3:" in result.stderr
    assert "--skip-bad" in result.stderr


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSOBOUGHT_PARTITIONS", "many")
    result = run("topics", "list", "--kafka", CLOSED)
    assert result.exit_code == 1
    assert "ALSOBOUGHT_PARTITIONS=many" in result.stderr


def test_a_kind_that_the_settings_do_not_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for words in (("related", "tea", "--kind", "liked"), ("publish", "events", "liked", "likes.csv")):
        result = run(*words, "--kafka", CLOSED)
        assert result.exit_code == 1
        assert re.search(r"no kind of (events|lists) 'liked', but bought, watched", result.stderr)
        assert "ALSOBOUGHT_EVENT_TYPES" in result.stderr
    monkeypatch.setenv("ALSOBOUGHT_EVENT_TYPES", "liked")
    likes = tmp_path / "likes.csv"
    likes.write_text("customer_id,item_id,timestamp,event_type\nann,tea,2026-01-31 12:00:00,watch\n")
    result = run("publish", "events", "liked", likes, "--kafka", CLOSED)
    assert "event_type 'watch' is none of liked, return, forget" in result.stderr
    likes.write_text("customer_id,item_id,timestamp,event_type\nann,tea,2026-01-31 12:00:00,liked\n")
    assert (
        f"no Kafka answers at {CLOSED}" in run("publish", "events", "liked", likes, "--kafka", CLOSED).stderr
    )
    monkeypatch.setenv("ALSOBOUGHT_EVENT_TYPES", "watches")
    assert "'watches' is a name of ours" in run("topics", "list", "--kafka", CLOSED).stderr


def test_the_bundled_purchases_are_no_watches() -> None:
    result = run("publish", "watches", "complete-journey", "--kafka", CLOSED)
    assert result.stderr == "alsobought: complete-journey has purchases and no watches: give a file.\n"


def test_words_it_does_not_know_are_refused() -> None:
    for words in (("imagine",), ("related",), ("related", "tea", "--imagine")):
        assert run(*words).exit_code == 2
