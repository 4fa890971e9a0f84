"""Command line over environment over file over defaults; what is wrong is named, with where it is from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from alsobought.cli import app
from streams.settings import Settings
from streams.settings_sources import HIDDEN, Origin, SettingsError, for_child, load, origins, shown


class Secretive(Settings):
    kafka_password: SecretStr | None = None
    api_tokens: str | None = None
    kafka_password_file: Path | None = None


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("ALSOBOUGHT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def asked(*words: str) -> dict[str, dict[str, object]]:
    result = run(*words, "settings", "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, dict[str, object]] = json.loads(result.stdout)
    return found


def test_each_source_wins_over_those_behind_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = here / "alsobought.toml"
    file.write_text('kafka = "file:1"\ngroup = "file"\nwindow = 7\n')
    monkeypatch.setenv("ALSOBOUGHT_KAFKA", "environment:1")
    monkeypatch.setenv("ALSOBOUGHT_GROUP", "environment")
    result = json.loads(run("settings", "--json", "--kafka", "option:1").stdout)
    found = {name: (one["value"], one["source"]) for name, one in result.items()}
    assert found["kafka"] == ("option:1", "command line")
    assert found["group"] == ("environment", "environment")
    assert found["window"] == (7, "file")
    assert found["list_length"] == (100, "default")
    assert (result["group"]["place"], result["window"]["place"]) == ("ALSOBOUGHT_GROUP", str(file))
    assert list(result) == list(Settings.model_fields)
    table = run("settings").stdout.splitlines()
    assert ["window", "7", "file"] in [line.split()[:3] for line in table]


def test_the_file_is_found_where_one_says_and_else_in_the_working_directory(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, window in (("alsobought", 11), ("variable", 12), ("option", 13)):
        (here / f"{name}.toml").write_text(f"window = {window}\n")
    assert asked()["window"]["value"] == 11
    monkeypatch.setenv("ALSOBOUGHT_SETTINGS", "variable.toml")
    assert asked()["window"] == {"value": 12, "source": "file", "place": str(here / "variable.toml")}
    assert asked("--settings", "option.toml")["window"]["value"] == 13
    assert os.environ["ALSOBOUGHT_SETTINGS"] == "variable.toml", "the option was for that command"
    monkeypatch.setenv("ALSOBOUGHT_SETTINGS", "")
    assert asked()["window"]["value"] == 50
    missing = run("--settings", "absent.toml", "settings")
    assert missing.exit_code == 1
    assert f"there is no settings file {here / 'absent.toml'}: create it" in missing.stderr
    (here / "option.toml").write_text("window = \n")
    assert "option.toml cannot be read: Invalid value" in run("--settings", "option.toml", "settings").stderr


def test_an_unknown_name_is_refused_with_the_nearest(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "alsobought.toml").write_text('list-length = 10\nzzzz = "?"\n')
    monkeypatch.setenv("ALSOBOUGHT_PARTITION", "3")
    result, file = run("topics", "list"), here / "alsobought.toml"
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"alsobought: no setting has this name: list-length in {file} (did you mean list_length?); zzzz in"
        f" {file}; ALSOBOUGHT_PARTITION in the environment (did you mean ALSOBOUGHT_PARTITIONS?). Correct or"
    )


def test_variables_that_a_cluster_makes_of_a_service_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PAGE_SERVICE_HOST": "10.0.0.1", "PAGE_SERVICE_PORT": "80", "PAGE_SERVICE_PORT_HTTP": "80",
        "PAGE_PORT": "tcp://10.0.0.1:80", "PAGE_PORT_80_TCP": "tcp://10.0.0.1:80",
        "PAGE_PORT_80_TCP_ADDR": "10.0.0.1",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"ALSOBOUGHT_{name}", value)
    assert load(Settings).window == 50


def test_a_wrong_value_says_where_it_is_from(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "alsobought.toml").write_text('window = 999\nevent_types = "watches"\n')
    monkeypatch.setenv("ALSOBOUGHT_PARTITIONS", "many")
    result = run("topics", "list")
    assert result.exit_code == 1
    assert f"window = 999 (file {here / 'alsobought.toml'}): Input should be less than" in result.stderr
    assert "ALSOBOUGHT_PARTITIONS=many in the environment: Input should be a valid integer" in result.stderr
    assert "'watches' is a name of ours" in result.stderr
    with pytest.raises(SettingsError, match=r"row_capacity = 1 \(command line\)"):
        load(Settings, row_capacity=1, window=50, event_types=None, partitions=1)


def test_secrets_are_never_shown(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "alsobought.toml").write_text(
        'kafka_password = "s3cret"\ncheckpoint_url = "s3://me:s3cret@b/c"\n'
    )
    monkeypatch.setenv("ALSOBOUGHT_API_TOKENS", "s3cret")
    found = load(Secretive, kafka_password_file=Path("/run/password"))
    assert "s3cret" not in str(shown(found))
    assert shown(found)["kafka_password"] == shown(found)["api_tokens"] == HIDDEN
    assert shown(found)["checkpoint_url"] == f"s3://{HIDDEN}@b/c"
    assert shown(found)["kafka_password_file"] == "/run/password"
    monkeypatch.setenv("ALSOBOUGHT_KAFKA_PASSWORD", "s3cret")
    (here / "alsobought.toml").write_text("kafka_password = 12345\napi_tokens = 12345\n")
    monkeypatch.delenv("ALSOBOUGHT_API_TOKENS")
    monkeypatch.delenv("ALSOBOUGHT_KAFKA_PASSWORD")
    with pytest.raises(SettingsError) as caught:
        load(Secretive)
    assert "12345" not in str(caught.value)
    assert f"api_tokens = '{HIDDEN}' (file" in str(caught.value)


def test_another_process_elsewhere_has_the_same_settings(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As workers that the stack starts, in another directory; secrets are not put into the environment."""
    (here / "my").mkdir()
    (here / "my" / "file.toml").write_text('model_dir = "models"\ncache_dir = "c"\nscore_tolerance = 0.25\n')
    monkeypatch.setenv("ALSOBOUGHT_SETTINGS", "my/file.toml")
    monkeypatch.setenv("ALSOBOUGHT_CHECKPOINT_URL", "checkpoints")
    monkeypatch.setenv("alsobought_group", "lower")
    monkeypatch.setenv("ALSOBOUGHT_INSTANCE", "one")
    settings = load(Settings, data_dir=Path("data"), kafka="k:1", memory_mib=64, instance=None)
    settings = settings.model_copy(update={"kafka": "k:2"})
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "alsobought.toml").write_text("window = 3\n")
    program = (
        "import json; from streams.settings import Settings; from streams.settings_sources import *;"
        "print(json.dumps(shown(load(Settings))))"
    )
    environment = for_child(settings, os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == shown(settings) | {
        "data_dir": str(here / "data"), "checkpoint_url": str(here / "checkpoints"),
        "model_dir": str(here / "my" / "models"), "cache_dir": str(here / "my" / "c"), "kafka": "k:2",
        "group": "lower", "memory_mib": 64, "score_tolerance": 0.25, "window": 50,
    }  # fmt: skip
    monkeypatch.setenv("ALSOBOUGHT_SETTINGS", "")
    secret = for_child(load(Secretive, kafka_password="s3cret"), os.environ)
    assert "s3cret" not in secret.values()
    assert secret["ALSOBOUGHT_SETTINGS"] == ""


def test_where_values_are_from_is_found_without_making_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALSOBOUGHT_WINDOW", "9")
    found = origins(Settings, ["kafka"])
    assert str(found["window"]) == "environment ALSOBOUGHT_WINDOW"
    assert (found["kafka"], found["group"]) == (Origin("command line"), Origin("default"))
