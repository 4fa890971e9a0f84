"""docker-compose.yml is checked without Docker: by the schema and our code."""

from __future__ import annotations

import http.server
import importlib.util
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from alsobought.cli import app
from streams.broker import jars
from streams.doors.policy import Doors
from streams.doors.rights import Right
from streams.health import READY
from streams.settings import Settings
from tests.compose import COMPOSE, OURS, ROOT, SERVICES, WATCHING, instructions


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


class Readiness(http.server.BaseHTTPRequestHandler):
    """Answers /readyz with a status."""

    status = 200

    def do_GET(self) -> None:
        """Answer a question from this machine."""
        known = self.path == READY and self.headers["Host"] == "localhost"
        self.send_response(self.status if known else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.mark.parametrize("name", ["kafka", *(name for name in OURS if "healthcheck" in OURS[name])])
def test_health_checks_ask_whether_the_service_is_ready_and_start_nothing_big(name: str) -> None:
    kind, *command = SERVICES[name]["healthcheck"]["test"]
    (port,) = re.findall(r"/dev/tcp/127\.0\.0\.1/(\d+)", command[-1])
    assert (kind, command[:2]) == ("CMD", ["bash", "-c"])

    def passes() -> bool:
        moved = [*command[:2], command[2].replace(port, str(server.server_port)).replace("$$", "$")]
        return subprocess.run(moved, capture_output=True, timeout=10, check=False).returncode == 0

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Readiness) as server:
        answering = threading.Thread(target=server.serve_forever, args=(0.01,))
        answering.start()
        try:
            assert passes()
            Readiness.status = 503
            assert passes() == (name == "kafka"), "Kafka's is whether the port is open"
        finally:
            Readiness.status = 200
            server.shutdown()
            answering.join()
    assert not passes()
    environment = SERVICES[name]["environment"]
    listeners = environment.get("KAFKA_LISTENERS", "").split(",")
    asked = environment.get("ALSOBOUGHT_WEB_PORT") or SERVICES[name].get("command", [None])[-1]
    assert f"INSIDE://0.0.0.0:{port}" in listeners or str(asked) == port


def test_services_that_run_for_long_are_checked_and_limited() -> None:
    for name, service in SERVICES.items():
        assert "mem_limit" in service, name
        assert ("healthcheck" in service) == (service["restart"] == "unless-stopped"), name
    heap = re.search(r"-Xmx(\d+)m", SERVICES["kafka"]["environment"]["KAFKA_HEAP_OPTS"])
    assert heap is not None
    assert 1.5 * int(heap[1]) <= 1024, "Kafka needs memory beside its heap"


def test_one_service_builds_the_image_and_the_others_wait_for_it() -> None:
    builders = [name for name, service in OURS.items() if "build" in service]
    assert builders == ["topics", "publish-items"]
    assert OURS["publish-items"]["build"]["target"] == "demo"
    assert instructions("FROM")[-1] == "alsobought", "without a target the image has no purchases"
    assert OURS["publish-purchases"]["depends_on"] == {
        "publish-items": {"condition": "service_completed_successfully"}
    }
    for name, service in OURS.items():
        demo = name.startswith("publish-")
        assert service["image"].endswith("-demo") == demo
        assert demo == ("complete-journey" in service["command"])
        if name not in builders:
            assert service["pull_policy"] == "never", f"{name} must not look for the image elsewhere"
            waits = [name]
            while waits[-1] != "topics":  # directly or through others
                waits.append(next(other for other in OURS[waits[-1]]["depends_on"] if other != "kafka"))
            assert OURS[waits[-2]]["depends_on"]["topics"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    words = [word for word in OURS[name]["command"] if word.isalpha()]
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
    others = [SERVICES[name]["image"] for name in sorted(WATCHING)]
    stages = {words[2] for line in instructions("FROM") if len(words := line.split()) == 3}
    bases = {image for line in instructions("FROM") if (image := line.split()[0]) not in stages}
    images = [SERVICES["kafka"]["image"], *others, *bases]
    assert images[0] == f"apache/kafka:{jars.KAFKA_VERSION}"
    for image in images:
        tag = image.partition(":")[2]
        assert re.match(r"v?\d+\.\d+", tag), f"{image} has no fixed version"
    project = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project is not None
    version = f"alsobought:{project[1]}"
    assert {service["image"] for service in OURS.values()} == {version, f"{version}-demo"}


def test_workers_keep_their_state_apart_and_get_their_own_name() -> None:
    workers = {name: service for name, service in OURS.items() if service["command"] == ["worker"]}
    assert len(workers) == 2
    for name, service in {**workers, "recommender": OURS["recommender"]}.items():
        environment = service["environment"]
        own, *others = service["volumes"]
        assert own == f"{name}:{environment['ALSOBOUGHT_DATA_DIR']}"
        assert others == ["shared:/shared", "tokens:/tokens:ro", "operator:/operator:ro"]
        assert environment["ALSOBOUGHT_ADVERTISE_HOST"] == name
        for shared in ("CHECKPOINT_URL", "MODEL_DIR"):
            assert environment[f"ALSOBOUGHT_{shared}"].startswith("/shared/"), "where all of them reach it"
    assert OURS["recommender"]["command"] == ["recommender"]
    mounted = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if not volume.startswith("./")
    }
    assert mounted == set(COMPOSE["volumes"])


def test_the_tokens_that_are_made_open_what_listens_to_others(tmp_path: Path) -> None:
    """The commands of compose, and the settings, with the volumes in a folder here."""

    def here(text: str) -> str:
        return re.sub(r"^/(tokens|operator)/", rf"{tmp_path}/\1/", text)

    for volume in ("tokens", "operator"):
        (tmp_path / volume).mkdir()
    makers = [name for name, service in OURS.items() if service["command"][0] == "token"]
    assert makers == ["token-of-page", "token-of-operator"]
    for name in makers * 2:  # also when everything is started again
        done = CliRunner().invoke(app, [here(word) for word in OURS[name]["command"]])
        assert done.exit_code == 0, done.output
        assert "alsobought-" not in done.output
    listening = {
        name: service
        for name, service in OURS.items()
        if "0.0.0.0" in [*service["command"], service["environment"].get("ALSOBOUGHT_WEB_HOST")]
    }
    assert set(listening) == {"worker-1", "worker-2", "recommender", "page"}
    shown = {}
    for name, service in listening.items():
        mounted = {volume.split(":")[1] for volume in service["volumes"]}
        set_here = {
            setting: value
            for setting, value in service["environment"].items()
            if any(word in setting for word in ("TOKEN", "HOSTS"))
        }
        for value in set_here.values():
            if value.startswith("/"):
                assert str(Path(value).parent) in mounted, name
        doors = Doors.of(
            Settings.model_validate(
                {key.removeprefix("ALSOBOUGHT_").lower(): here(value) for key, value in set_here.items()}
            )
        )
        doors.require_token("0.0.0.0", name)
        assert doors.token is not None
        known = doors.tokens.find(doors.token)
        assert known is not None
        shown[name] = known.name, known.right
        for other in set(listening) - {"page"}:
            assert doors.called.has_name(other)
        assert not doors.called.has_name("kafka")
        assert ("/operator" in mounted) == (name != "page")
        assert ("ports" in service) == (name == "page"), "only the page is reached from the host"
    assert shown["page"] == ("page", Right.READ)
    assert {shown[name] for name in shown if name != "page"} == {("operator", Right.ADMIN)}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "operator").iterdir()} == {0}


def test_what_watches_is_given_files_that_exist_and_asks_every_process() -> None:
    assert {"prometheus", "grafana"} == WATCHING
    files = [
        volume.partition(":")[0]
        for name in WATCHING
        for volume in SERVICES[name]["volumes"]
        if volume.startswith("./")
    ]
    assert len(files) == 4
    assert [file for file in files if not (ROOT / file).exists()] == []
    (job,) = YAML(typ="safe").load((ROOT / "ops" / "prometheus.yml").read_text())["scrape_configs"]
    (static,) = job["static_configs"]
    # it shows the token that may only read, in a file of the image's user
    token = job["authorization"]["credentials_file"]
    makes = OURS["token-of-page"]["command"]
    assert makes[makes.index("--to") + 1] == token
    assert makes[makes.index("--right") + 1] == "read"
    prometheus = SERVICES["prometheus"]
    assert "tokens:/tokens:ro" in prometheus["volumes"]
    assert f"--uid {prometheus['user']} " in (ROOT / "Dockerfile").read_text()
    assert "prometheus:/prometheus" in OURS["token-of-page"]["volumes"]  # which makes it the user's
    running = {name for name, service in OURS.items() if service["restart"] == "unless-stopped"}
    assert {target.partition(":")[0] for target in static["targets"]} == running
    for target in static["targets"]:
        name, _, port = target.partition(":")
        command = SERVICES[name]["command"]
        assert port == str(SERVICES[name]["environment"].get("ALSOBOUGHT_WEB_PORT") or command[-1])
    for name in WATCHING:
        assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"]), "of this machine alone"
