"""`alsobought token make`, and what processes do with what it makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alsobought.cli import app
from alsobought.clients import call
from alsobought.options import CommandError
from streams.doors.errors import AddressRefused
from streams.doors.rights import Right
from streams.doors.tokens import Tokens, known, looks_like_a_token, make_token, read_known
from tests.streams.doors.test_calling import answering, reply


def make(*words: object) -> Result:
    return CliRunner().invoke(app, ["token", "make", *map(str, words)])


def test_it_prints_the_token_and_its_hash() -> None:
    done = make("till", "--right", "write")
    assert done.exit_code == 0, done.output
    token, entry = done.stdout.strip(), done.stderr.strip().removeprefix("ALSOBOUGHT_TOKENS=")
    found = Tokens(read_known(entry, "what was printed")).find(token)
    assert found is not None
    assert (found.name, found.right) == ("till", Right.WRITE)
    assert token not in done.stderr
    assert make("till").stdout.strip() != token


def test_it_writes_files_that_a_server_reads(tmp_path: Path) -> None:
    hashes = tmp_path / "hashes"
    for name in ("page", "till"):
        done = make(name, "--hashes", hashes, "--to", tmp_path / name)
        assert (done.exit_code, done.stdout) == (0, "")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    tokens = Tokens(read_known(hashes.read_text(), "the file"))
    for name in ("page", "till"):
        token = (tmp_path / name).read_text().strip()
        assert looks_like_a_token(token)
        found = tokens.find(token)
        assert found is not None
        assert found.name == name


def test_it_keeps_what_is_there_and_completes_what_is_half_there(tmp_path: Path) -> None:
    hashes, to = tmp_path / "hashes", tmp_path / "token"
    words = ("page", "--hashes", hashes, "--to", to, "--keep")
    to.write_text(make_token())  # and it ended before the hash was written
    for _ in range(2):
        assert make(*words).exit_code == 0
        assert hashes.read_text() == f"{known('page', Right.READ, to.read_text()).line}\n"
    to.write_text(make_token())
    assert "has another token page already" in _refused(*words)
    to.write_text("")
    assert "holds no token: remove the file" in _refused(*words)


def _refused(*words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "alsobought.cli", "token", "make", *map(str, words)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("alsobought: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_it_refuses(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    assert "NAME is 'a b', but must have 1 to 64 letters" in _refused("a b")
    assert "--keep looks into the files of --to and --hashes" in _refused("page", "--keep")
    assert f"{there} cannot be written: File exists" in _refused("page", "--to", there)
    assert there.read_text() == "kept"
    assert "is not NAME:RIGHT:HASH" in _refused("page", "--hashes", there)
    assert make("page", "--right", "root").exit_code == 2


@pytest.mark.parametrize(
    ("command", "setting", "environment"),
    [
        ("serve --host 0.0.0.0", "--host is 0.0.0.0", {}),
        ("worker", "ALSOBOUGHT_WEB_HOST is 0.0.0.0", {"ALSOBOUGHT_WEB_HOST": "0.0.0.0"}),
        ("recommender", "ALSOBOUGHT_WEB_HOST is ::", {"ALSOBOUGHT_WEB_HOST": "::"}),
        ("up", "ALSOBOUGHT_WEB_HOST is 0.0.0.0", {"ALSOBOUGHT_WEB_HOST": "0.0.0.0"}),
    ],
)
def test_nothing_is_opened_to_others_without_a_token(
    tmp_path: Path, command: str, setting: str, environment: dict[str, str]
) -> None:
    kafka = [] if command == "up" else ["--kafka", "127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "alsobought.cli", *command.split(), *kafka],
        env={**os.environ, "ALSOBOUGHT_DATA_DIR": str(tmp_path), **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"alsobought: {setting}, which others reach, and no token is set" in done.stderr
    assert "alsobought token make" in done.stderr
    assert "Traceback" not in done.stderr


def test_commands_show_the_token_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    token = make_token()
    monkeypatch.setenv("ALSOBOUGHT_TOKEN", token)
    with answering(reply("200 OK", b"{}")) as (port, asked):
        assert call(20.0, "GET", f"http://127.0.0.1:{port}", "customers", "ann").body == b"{}"
    assert f"Authorization: Bearer {token}".encode() in asked[0]
    for status in ("401 Unauthorized", "403 Forbidden", "421 Misdirected Request", "429 Too Many Requests"):
        with answering(reply(status, b"a token is wanted")) as (port, _):
            address = f"http://127.0.0.1:{port}"
            with pytest.raises(CommandError, match=f"the process at {address} refuses: a token is wanted"):
                call(20.0, "GET", address, "customers", "ann")
    with pytest.raises(AddressRefused):
        call(20.0, "GET", "http://169.254.169.254", "customers", "ann")
