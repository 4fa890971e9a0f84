"""Security from the settings: what fits together, what is refused, and that no secret is ever shown."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from alsobought.options import settings_of
from streams.connections.bootstrap import Bootstrap, environment_for
from streams.connections.errors import SecurityError
from streams.connections.security import NAMES, PLAIN_TEXT, security_of
from streams.settings import Settings
from streams.settings_sources import SettingsError
from tests.streams.connections.certificates import Authority

SECRET = "hunter2-of-ann"
USER = {"kafka_sasl_mechanism": "SCRAM-SHA-512", "kafka_username": "ann"}
OAUTH = {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "OAUTHBEARER"}
ENDPOINT = {**OAUTH, "kafka_token_url": "https://login.example.com", "kafka_token_client_id": "worker"}


def settings(**given: Any) -> Settings:
    return Settings.model_validate(given)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_without_settings_there_is_none() -> None:
    assert security_of(settings()) == PLAIN_TEXT
    assert str(Bootstrap.of(settings(kafka="a:1, b:2"))) == "a:1, b:2"
    assert Bootstrap("a:1, b:2").addresses == ["a:1", "b:2"]


def test_every_setting_of_security_is_listed() -> None:
    named = [name for name in Settings.model_fields if name.startswith("kafka_") and name != "kafka_home"]
    assert tuple(named) == NAMES


def test_a_secret_is_read_from_its_variable_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    for given in ({"kafka_password": SECRET}, {"kafka_password_file": tmp_path / "password"}):
        security = security_of(settings(kafka_security_protocol="SASL_SSL", **USER, **given))
        assert security.password == SecretStr(SECRET)
        assert (security.username, security.principal) == ("ann", "User:ann")
        assert security.context is not None
        assert security.context.check_hostname


def test_a_certificate_with_an_encrypted_key_is_used(authority: Authority) -> None:
    certificate, key = authority.sign("encrypted", SECRET.encode())
    tls = {
        "kafka_security_protocol": "SSL", "kafka_ca_file": authority.file,
        "kafka_certificate_file": certificate, "kafka_key_file": key,
    }  # fmt: skip
    context = security_of(settings(**tls, kafka_key_password=SECRET)).context
    assert context is not None
    assert [one["subject"] for one in context.get_ca_certs()] == [((("commonName", "authority"),),)]
    for wrong in ({}, {"kafka_key_password": "another"}):  # neither asks for it on the terminal
        with pytest.raises(SecurityError, match=r"KEY_PASSWORD_FILE or _KEY_PASSWORD must be its password"):
            security_of(settings(**tls, **wrong))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kafka_ca_file": "ca.pem"}, "KAFKA_CA_FILE is set, which PLAINTEXT does not use"),
    ({"kafka_username": "ann"}, "KAFKA_USERNAME is set, which PLAINTEXT does not use"),
    ({"kafka_security_protocol": "SSL", **USER}, "KAFKA_SASL_MECHANISM, ALSOBOUGHT_KAFKA_USERNAME is set"),
    ({"kafka_security_protocol": "SASL_SSL"}, "needs ALSOBOUGHT_KAFKA_SASL_MECHANISM: set it to PLAIN"),
    ({"kafka_security_protocol": "SASL_SSL", **USER}, "needs a user: set ALSOBOUGHT_KAFKA_PASSWORD_FILE"),
    (
        {"kafka_security_protocol": "SASL_SSL", **USER, "kafka_username": None, "kafka_password": SECRET},
        "needs a user: set ALSOBOUGHT_KAFKA_USERNAME",
    ),
    (
        {"kafka_security_protocol": "SASL_SSL", **USER, "kafka_password": SECRET, "kafka_token_file": "t"},
        "KAFKA_TOKEN_FILE is set, which SCRAM-SHA-512 does not use",
    ),
    (
        {"kafka_security_protocol": "SASL_SSL", **USER, "kafka_password": SECRET, "kafka_password_file": "p"},
        "KAFKA_PASSWORD and ALSOBOUGHT_KAFKA_PASSWORD_FILE are both set",
    ),
    ({"kafka_security_protocol": "SASL_SSL", **USER, "kafka_password": ""}, "KAFKA_PASSWORD is empty"),
    (
        {"kafka_security_protocol": "SASL_SSL", **USER, "kafka_password_file": "/nowhere/at/all"},
        r"/nowhere/at/all \(ALSOBOUGHT_KAFKA_PASSWORD_FILE\) cannot be read: No such file",
    ),
    (
        {"kafka_security_protocol": "SASL_SSL", **USER, "kafka_password_file": "/dev/null"},
        r"/dev/null \(ALSOBOUGHT_KAFKA_PASSWORD_FILE\) is empty",
    ),
    ({"kafka_security_protocol": "SSL", "kafka_ca_file": "/nowhere"}, r"\(ALSOBOUGHT_KAFKA_CA_FILE\) cannot"),
    ({"kafka_security_protocol": "SSL", "kafka_ca_file": __file__}, "must hold certificates of authorities"),
    (
        {"kafka_security_protocol": "SSL", "kafka_key_file": "k", "kafka_key_password": SECRET},
        "KAFKA_KEY_FILE, ALSOBOUGHT_KAFKA_KEY_PASSWORD is set, but no certificate is",
    ),
    ({"kafka_security_protocol": "SSL", "kafka_certificate_file": __file__}, "must be a certificate in PEM"),
    (OAUTH, "needs a source of tokens: set ALSOBOUGHT_KAFKA_TOKEN_FILE; or ALSOBOUGHT_KAFKA_TOKEN_URL"),
    ({**OAUTH, "kafka_password": SECRET}, "KAFKA_PASSWORD is set, which OAUTHBEARER does not use"),
    (ENDPOINT, "needs a source of tokens"),
    (
        {**ENDPOINT, "kafka_token_client_secret": SECRET, "kafka_token_file": "t"},
        "KAFKA_TOKEN_URL, .*_TOKEN_CLIENT_ID, .*_TOKEN_CLIENT_SECRET is set, beside a file of tokens",
    ),
    *(
        (
            {**ENDPOINT, "kafka_token_client_secret": SECRET, "kafka_token_url": url},
            "must be an address of https",
        )
        for url in ("http://login.example.com/", f"https://worker:{SECRET}@login.example.com/", "login")
    ),
]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_settings_that_do_not_fit_are_refused_by_name(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SecurityError, match=said) as caught:
        security_of(settings(**given))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_secret_is_in_a_representation(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    for given in (
        {"kafka_security_protocol": "SASL_SSL", **USER, "kafka_password": SECRET},
        {**ENDPOINT, "kafka_token_client_secret": SECRET},
        {**OAUTH, "kafka_token_file": tmp_path / "token"},
    ):
        of = settings(**given)
        bootstrap = Bootstrap.of(of)
        shown = [repr(of), str(of), of.model_dump_json(), repr(bootstrap), repr(bootstrap.security)]
        assert SECRET not in " ".join([*shown, str(bootstrap), repr(vars(bootstrap.security))])


def test_no_secret_is_in_the_error_of_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSOBOUGHT_KAFKA_PASSWORD", SECRET)
    monkeypatch.setenv("ALSOBOUGHT_PARTITIONS", "many")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert SECRET not in str(caught.value)
    with pytest.raises(SettingsError, match="ALSOBOUGHT_PARTITIONS=many") as said:
        settings_of()
    assert SECRET not in str(said.value)
    with pytest.raises(ValidationError) as bare:
        Settings.model_validate({"kafka_password": [SECRET]})
    assert SECRET not in str(bare.value)


def test_a_child_process_of_a_local_stack_has_no_security(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSOBOUGHT_KAFKA_PASSWORD", SECRET)
    monkeypatch.setenv("ALSOBOUGHT_KAFKA_HOME", "/opt/kafka")
    local = environment_for(Bootstrap("127.0.0.1:1"), Settings())
    assert local["ALSOBOUGHT_KAFKA"] == "127.0.0.1:1"
    assert "ALSOBOUGHT_KAFKA_PASSWORD" not in local
    assert local["ALSOBOUGHT_KAFKA_HOME"] == "/opt/kafka"
    of = settings(kafka_security_protocol="SASL_SSL", **USER, kafka_password=SECRET)
    assert environment_for(Bootstrap.of(of), of)["ALSOBOUGHT_KAFKA_PASSWORD"] == SECRET
