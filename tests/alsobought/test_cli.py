"""Every command has help, and reports an error in one line, with status 1 and no traceback."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from alsobought import cli
from alsobought.cli import EXPECTED, app
from streams.process.heap import TUNABLE, VARIABLE

CLOSED = "127.0.0.1:1"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def commands(command: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    command = command if command is not None else typer.main.get_command(app)
    yield words
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(None, name), (*words, name))


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


@pytest.mark.parametrize("words", [(), ("publish",)], ids=" ".join)
def test_lists_of_commands_repeat_the_help_of_each(words: tuple[str, ...]) -> None:
    listed = run(*words, "--help").output.split("Commands:\n")[1].splitlines()
    for line in listed:
        name, about = line.split(maxsplit=1)
        full = " ".join(run(*words, name, "--help").output.split("\n\n")[1].split())
        assert full.startswith(about.removesuffix("..."))
    below = {rest[-1] for rest in commands() if rest and rest[:-1] == words}
    assert {line.split()[0] for line in listed} == below


LIGHT = (
    "lists",
    "inspect",
    "drain",
    "recommend",
    "stack",
    "status",
    "doctor",
    "token",
    "checkpoint",
    "rebuild",
)
"""The modules of commands that count nothing themselves."""


def test_commands_that_count_nothing_load_no_kernels() -> None:
    modules = ", ".join(f"alsobought.commands.{name}" for name in LIGHT)
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys, {modules}; print('numba' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "False\n"


def test_help_loads_nothing_that_counts_or_talks_to_kafka() -> None:
    program = (
        "import sys\n"
        "from alsobought.cli import app\n"
        "try:\n    app(['--help'], standalone_mode=True)\n"
        "except SystemExit:\n    pass\n"
        "print('loaded:', *(m for m in sys.modules if m.partition('.')[0] in"
        " ('numpy', 'numba', 'kafka', 'aiokafka', 'faust', 'pydantic', 'state', 'streams', 'serving')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["serve"], True),
        (["--settings", "my.toml", "up", "--port", "0"], True),
        (["demo", "--limit", "50000"], True),
        (["drain"], False),
        (["worker"], False),  # it becomes another command, with huge pages
        ([], False),
    ],
)
def test_what_holds_the_lists_runs_again_with_huge_pages(
    words: list[str], again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["alsobought", *words])
    monkeypatch.setattr(os, "execve", lambda _path, _command, environment: done.append(environment[VARIABLE]))
    monkeypatch.setattr(cli, "app", lambda **_: done.append("the command"))
    cli.main()
    assert done == [f"{TUNABLE}=1"] * again + ["the command"]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_expected_error_is_there(name: str) -> None:
    module, _, error = name.partition(":")
    assert issubclass(getattr(importlib.import_module(module), error), Exception)


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
def test_a_wrong_address_is_named(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count()  # each reading of the clock is a second later
    passing = SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _seconds: None)
    monkeypatch.setattr("streams.broker.admin.time", passing)
    result = run(*words, "--kafka", CLOSED)
    assert result.exit_code == 1
    assert f"no Kafka answers at {CLOSED}" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_files_of_a_dead_program_are_not_believed(tmp_path: Path) -> None:
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
    assert "sales.docx: the ending of the name is of no known format" in result.stderr


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
        assert re.search(
            r"the kind of (events|lists) must be one of bought, watched.*, but is 'liked'", result.stderr
        )
        assert "ALSOBOUGHT_EVENT_TYPES" in result.stderr
    monkeypatch.setenv("ALSOBOUGHT_EVENT_TYPES", "liked")
    likes = tmp_path / "likes.csv"
    likes.write_text("customer_id,item_id,timestamp,event_type\nann,tea,2026-01-31 12:00:00,watch\n")
    result = run("publish", "events", "liked", likes, "--kafka", CLOSED)
    assert "type 'watch' is not for the topic liked: publish it to watches" in result.stderr
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
