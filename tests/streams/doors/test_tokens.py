"""Tokens are known by their hashes, and what cannot be one is refused without being repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.doors.errors import HostsUnusable, OpenDoor, TokensUnusable
from streams.doors.policy import Doors
from streams.doors.rights import Right
from streams.doors.tokens import Tokens, known, make_token, read_known
from streams.settings import Settings


def doors(**settings: object) -> Doors:
    return Doors.of(Settings.model_validate(settings))


def test_a_token_is_found_by_its_hash_alone() -> None:
    first, second = make_token(), make_token()
    assert first != second
    some = [known("page", Right.READ, first), known("operator", Right.ADMIN, second)]
    text = f"# who may ask\n{some[0].line}\n\n {some[1].line} \n"
    assert first not in text
    tokens = Tokens(read_known(text, "a file"))
    assert (tokens.find(first), tokens.find(second)) == (some[0], some[1])
    for wrong in ("", first[:-1], first + "A", first.upper(), make_token(), some[0].digest.hex(), "é" * 54):
        assert tokens.find(wrong) is None


def test_a_word_that_somebody_chose_is_no_token_whatever_its_hash_is() -> None:
    assert Tokens([known("page", Right.READ, "secret")]).find("secret") is None


@pytest.mark.parametrize(
    ("entry", "trouble"),
    [
        ("alsobought-" + "x" * 43, "its name must have"),
        ("a b:read:" + "0" * 64, "its name must have"),
        ("page:root:" + "0" * 64, "its right must be one of read, write, admin"),
        ("page:read:" + "0" * 63, "its hash must have 64"),
        ("page:read:" + "A" * 64, "its hash must have 64"),
        ("page:read:alsobought-" + "x" * 43, "its hash must have 64"),
    ],
)
def test_what_is_no_entry_is_refused_and_not_repeated(entry: str, trouble: str) -> None:
    with pytest.raises(TokensUnusable, match=f"entry 2 of ALSOBOUGHT_TOKENS is not .*{trouble}") as caught:
        doors(tokens=f"first:read:{'1' * 64},{entry}")
    assert entry[-43:] not in str(caught.value)


def test_a_name_has_one_token() -> None:
    line = known("page", Right.READ, make_token()).line
    with pytest.raises(TokensUnusable, match="the name page is there twice"):
        doors(tokens=f"{line},{line}")


def test_files_of_tokens(tmp_path: Path) -> None:
    token, hashes, secret = make_token(), tmp_path / "hashes", tmp_path / "token"
    with pytest.raises(TokensUnusable, match=f"ALSOBOUGHT_TOKENS_FILE={hashes} cannot be read"):
        doors(tokens_file=hashes)
    hashes.write_text("# nobody yet\n")
    with pytest.raises(TokensUnusable, match="has no token in it"):  # not: everybody may ask
        doors(tokens_file=hashes)
    hashes.write_text(known("page", Right.READ, token).line)
    secret.write_text(f"{token}\n")
    found = doors(tokens_file=hashes, token_file=secret)
    assert found.token == token
    assert found.tokens.find(token) is not None
    assert token not in repr(found)
    secret.write_text("secret")
    with pytest.raises(TokensUnusable, match=f"ALSOBOUGHT_TOKEN_FILE={secret} is no token"):
        doors(token_file=secret)
    with pytest.raises(TokensUnusable, match="ALSOBOUGHT_TOKEN is no token") as caught:
        doors(token="chosen by somebody")
    assert "chosen" not in str(caught.value)


def test_a_token_is_not_shown_by_the_settings() -> None:
    token = make_token()
    settings = Settings.model_validate({"token": token})
    assert token not in repr(settings)
    assert token not in settings.model_dump_json()


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.5", "10.0.0.1", "shop.example", "fe80::1", "8.8.8.8"]
)
def test_what_others_reach_wants_a_token(host: str) -> None:
    with pytest.raises(OpenDoor, match=r"--host is .* no token is set: .*alsobought token make"):
        doors().require_token(host, "--host")
    doors(tokens=known("page", Right.READ, make_token()).line).require_token(host, "--host")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_what_is_reached_from_here_alone_wants_none(host: str) -> None:
    doors().require_token(host, "--host")


@pytest.mark.parametrize("setting", ["worker_hosts", "allowed_hosts"])
@pytest.mark.parametrize("entry", ["http://worker", "a b", "10.0.0.0/99", "worker:80", "*"])
def test_what_is_no_host_is_refused(setting: str, entry: str) -> None:
    with pytest.raises(HostsUnusable, match=f"in ALSOBOUGHT_{setting.upper()} is no host"):
        doors(**{setting: f"worker-1,{entry}"})
