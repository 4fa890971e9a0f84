"""docker-compose.yml and the Dockerfile, checked without Docker: by the schema, our Kafka and our code."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from ruamel.yaml import YAML

from streams.broker import jars
from streams.broker.datadir import BrokerDir
from streams.broker.embedded import EmbeddedKafka
from streams.broker.java import bundled_java, find_java
from streams.broker.topics_admin import admin_client, create_topics
from streams.kinds import LISTED, topics_of_kinds
from streams.settings import Settings

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
TOPICS = topics_of_kinds(LISTED)
OURS = {name: service for name, service in SERVICES.items() if name != "kafka"}
CACHE = Settings.model_validate({}).cache_dir

# What the health check runs is in a jar that the broker does not need and that was not on Maven Central for
# this release when the test was written. The release before stands in for it, with its own client: this
# shows that its command and flags work on our Kafka, not that the image's are the same.
TOOLS = jars.JarSet(
    "kafka-tools-4.3.1",
    ("org.apache.kafka:kafka-tools:4.3.1",),
    {
        "kafka-clients-4.3.1.jar": "52501b7b47510c66f898871adaf6d2968ab7246561d44ced43643a8a587f0b36",
        "kafka-server-common-4.3.1.jar": "d7c719f749579a399011f0df7414de8a78f10f074a6122caa550fdb141351575",
        "kafka-tools-4.3.1.jar": "62f3c5dd7aa3442d4c5bc6a95f86e2502178ea09de8e27f74d9563bf955e253c",
    },
)
MAIN_CLASSES = {"kafka-broker-api-versions.sh": "org.apache.kafka.tools.BrokerApiVersionsCommand"}


def kafka_properties() -> dict[str, str]:
    """The broker properties that the image makes of its environment: KAFKA_FOO_BAR is foo.bar."""
    environment: Mapping[str, object] = SERVICES["kafka"]["environment"]
    assert all(name.startswith("KAFKA_") and "__" not in name for name in environment)
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in environment.items()
    }


def instructions(word: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(word + " ")]


def test_it_conforms_to_the_compose_specification() -> None:
    # The schema that check-jsonschema brings. Its command is not run, nor the package imported: that
    # fails with the click that faust allows (< 8.4).
    package = importlib.util.find_spec("check_jsonschema")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(path.read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    wrong = {**COMPOSE, "services": {"kafka": {"imagine": "apache/kafka"}}}
    assert not validator.is_valid(wrong)


def test_kafka_knows_every_property(broker: EmbeddedKafka) -> None:
    with admin_client(broker.bootstrap) as admin:
        resource = ConfigResource(ConfigResourceType.BROKER, "1")
        known = set(admin.describe_configs([resource], config_filter="all")["broker"]["1"])
    assert "log.dirs" in known
    assert "no.such.property" not in known
    assert set(kafka_properties()) - known == set()


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> dict[int, int]:
    """A free port here for each port in the container."""
    place = BrokerDir(tmp_path_factory.mktemp("ports"))
    (outside, controller), (inside, _) = place.choose_ports(0), place.choose_ports(0)
    return {9092: outside, 9093: controller, 19092: inside}


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, ports: dict[int, int]) -> Iterator[EmbeddedKafka]:
    """Our Kafka with the properties of the container, its addresses moved to free ports of loopback."""

    def moved(match: re.Match[str]) -> str:
        return f"{match['before']}127.0.0.1:{ports[int(match['port'])]}"

    properties = {
        name: re.sub(r"(?P<before>//|@)[^:/,@]+:(?P<port>\d+)", moved, value)
        for name, value in kafka_properties().items()
        if name != "log.dirs"
    }
    place = tmp_path_factory.mktemp("composed")
    with EmbeddedKafka(place, port=ports[9092], cache_dir=CACHE, properties=properties) as running:
        yield running


def test_kafka_starts_with_these_properties_and_serves_both_sides(
    composed: EmbeddedKafka, ports: dict[int, int]
) -> None:
    assert create_topics(composed.bootstrap, TOPICS, 2, 1) == [spec.name for spec in TOPICS]
    with admin_client(f"127.0.0.1:{ports[19092]}") as admin:
        (node,) = admin.describe_cluster()["brokers"]
    assert node["port"] == ports[19092], "who comes from inside is sent to the inside"
    log = composed.log.read_text()
    assert not re.search(r"unknown config|not a known config|supplied but are not used", log, re.IGNORECASE)


def test_the_health_check_of_the_release_before_passes_on_our_kafka(
    composed: EmbeddedKafka, ports: dict[int, int]
) -> None:
    kind, script, *flags = SERVICES["kafka"]["healthcheck"]["test"]
    assert kind == "CMD"
    assert Path(script).parent == Path("/opt/kafka/bin")
    flags = [flag.replace("localhost:9092", f"127.0.0.1:{ports[9092]}") for flag in flags]
    assert f"127.0.0.1:{ports[9092]}" in flags
    libraries = [jar for jar in jars.ensure_jars(CACHE) if not jar.name.startswith("kafka")]
    class_path = [*jars.ensure_jars(CACHE, TOOLS), *libraries]
    java = find_java(bundled=bundled_java()).path
    command = [
        str(java),
        "-cp",
        os.pathsep.join(map(str, class_path)),
        MAIN_CLASSES[Path(script).name],
        *flags,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"127.0.0.1:{ports[9092]} (id: 1" in done.stdout


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    words = [word for word in OURS[name]["command"] if word != "complete-journey"]
    command = [str(Path(sys.executable).with_name("alsobought")), *words, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout, f"`alsobought {' '.join(words)} --help` prints no help"


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting(name: str) -> None:
    environment = OURS[name]["environment"]
    fields = {f"ALSOBOUGHT_{field.upper()}" for field in Settings.model_fields}
    assert set(environment) - fields == set()
    settings = {name.removeprefix("ALSOBOUGHT_").lower(): value for name, value in environment.items()}
    assert Settings.model_validate(settings).kafka == "kafka:19092"


def test_images_are_pinned() -> None:
    images = [SERVICES["kafka"]["image"], *(image.split()[0] for image in instructions("FROM"))]
    assert images[0] == f"apache/kafka:{jars.KAFKA_VERSION}"
    for image in images:
        tag = image.partition(":")[2]
        assert re.match(r"\d+\.\d+", tag), f"{image} has no fixed version"
    project = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    assert {service["image"] for service in OURS.values()} == {f"alsobought:{project[1]}"}


def test_workers_keep_their_state_apart_and_are_told_their_own_name() -> None:
    workers = {name: service for name, service in OURS.items() if service["command"] == ["worker"]}
    assert len(workers) == 2
    for name, worker in workers.items():
        assert worker["volumes"] == [f"{name}:{worker['environment']['ALSOBOUGHT_DATA_DIR']}"]
        assert worker["environment"]["ALSOBOUGHT_ADVERTISE_HOST"] == name
    mounted = {
        volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())
    }
    assert mounted == set(COMPOSE["volumes"])


def test_the_image_is_built_from_files_that_exist_and_are_sent_to_docker() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = [word for copy in instructions("COPY") if "--from" not in copy for word in copy.split()[:-1]]
    assert {source.rstrip("/") for source in sources} == sent
    assert [source for source in sources if not (ROOT / source).exists()] == []
    packages = re.search(r"^packages = \[(.+)\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages is not None
    assert set(re.findall(r'"(\w+)"', packages[1])) <= sent


def test_the_image_runs_as_a_user_and_writes_to_a_directory_of_that_user() -> None:
    (user,) = instructions("USER")
    assert user not in ("root", "0")
    (made,) = (run for run in instructions("RUN") if "useradd" in run)
    assert made.split("&&")[0].split()[-1] == user
    assert f"--owner {user} --group {user} /data" in made
    for service in OURS.values():
        assert "user" not in service
        assert service["environment"]["ALSOBOUGHT_DATA_DIR"] == "/data"


def test_pip_is_called_as_in_the_makefile() -> None:
    def calls(lines: list[str]) -> list[set[str]]:
        found = [shlex.split(line.partition("pip install")[2]) for line in lines if "pip install" in line]
        # An editable install and a progress bar are for people; all else must be the same.
        return [set(words) - {"-e", "--progress-bar", "on"} for words in found]

    of_image = calls(instructions("RUN"))
    assert of_image == calls((ROOT / "Makefile").read_text().splitlines())
    assert "--require-hashes" in of_image[0]
