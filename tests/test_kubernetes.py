"""The manifests in ops/kubernetes name only what exists: settings, commands, paths, ports, secrets, labels.

Kubernetes' own schemas are checked by hand (docs/guide/kubernetes.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from ruamel.yaml import YAML

from alsobought.cli import app
from streams.doors.names import Hosts
from streams.doors.policy import Doors
from streams.doors.rights import ALWAYS_OPEN
from streams.rights import ROLES
from streams.settings import Settings
from streams.settings_sources import load

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "ops" / "kubernetes"
EXAMPLE = "secrets.example.yaml"
OF_OTHERS = {"POD_NAME", "NUMBA_CACHE_DIR"}
"""Variables that are read by others than `Settings`."""

Manifest = dict[str, Any]


def read(name: str) -> list[Manifest]:
    return [dict(one) for one in YAML(typ="safe").load_all((FOLDER / name).read_text())]


RESOURCES = read("kustomization.yaml")[0]["resources"]
MANIFESTS = [one for name in [*RESOURCES, EXAMPLE] for one in read(name)]
PODS = [one for one in MANIFESTS if "template" in one.get("spec", {})]
NAMES = [one["metadata"]["name"] for one in PODS]
pods = pytest.mark.parametrize("owner", PODS, ids=NAMES)


def named(kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in MANIFESTS if one["kind"] == kind}


def spec_of(owner: Manifest) -> Manifest:
    found: Manifest = owner["spec"]["template"]["spec"]
    return found


def containers(owner: Manifest) -> Iterator[Manifest]:
    yield from spec_of(owner).get("initContainers", [])
    yield from spec_of(owner)["containers"]


def environment(container: Manifest, pod: str) -> dict[str, str]:
    """Return the environment of a container, as Kubernetes makes it."""
    found: dict[str, str] = {}
    for one in container.get("envFrom", []):
        found |= named("ConfigMap")[one["configMapRef"]["name"]]["data"]
    for one in container.get("env", []):
        value = one.get("value")
        if (source := one.get("valueFrom")) is not None:
            secret = source.get("secretKeyRef")
            if secret is not None:
                value = named("Secret")[secret["name"]]["stringData"][secret["key"]]
            else:
                assert source == {"fieldRef": {"fieldPath": "metadata.name"}}
                value = pod
        found[one["name"]] = value.replace("$(POD_NAME)", found.get("POD_NAME", ""))
    return found


def settings_of(owner: Manifest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    found = environment(spec_of(owner)["containers"][0], f"{owner['metadata']['name']}-0")
    assert all(name in OF_OTHERS or name.startswith("ALSOBOUGHT_") for name in found)
    for name, value in found.items():
        if name not in OF_OTHERS:
            monkeypatch.setenv(name, value)
    return load(Settings)  # it refuses names and values that it does not know


def test_every_file_is_a_resource() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {"kustomization.yaml", EXAMPLE, *RESOURCES}
    assert {one["kind"] for one in MANIFESTS} == {
        "Namespace", "ConfigMap", "PersistentVolumeClaim", "Job", "StatefulSet", "Deployment", "Service",
        "PodDisruptionBudget", "NetworkPolicy", "Secret",
    }  # fmt: skip


@pods
def test_settings_and_commands_exist(owner: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(owner, monkeypatch)
    command: Any = typer.main.get_command(app)
    for word in spec_of(owner)["containers"][0]["args"][:2]:
        if not word.startswith("-") and hasattr(command, "get_command"):
            command = command.get_command(None, word)
            assert command is not None
    role = settings.kafka_username and settings.kafka_username.removeprefix("alsobought-")
    assert role in ROLES
    mounted = {mount["mountPath"] for mount in spec_of(owner)["containers"][0]["volumeMounts"]}
    for path in (
        settings.data_dir, settings.kafka_ca_file, settings.kafka_password_file, settings.token_file,
    ):  # fmt: skip
        assert path is None or {str(path), str(path.parent)} & mounted, path


@pytest.mark.parametrize("owner", [one for one in PODS if one["kind"] != "Job"], ids=lambda o: o["kind"])
def test_probes_ask_what_answers(owner: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, container = settings_of(owner, monkeypatch), spec_of(owner)["containers"][0]
    port = container["ports"][0]
    asked = set()
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = container[kind]["httpGet"]
        assert probe["port"] == port["name"]
        asked.add((kind, probe["path"]))
    assert {path for _, path in asked} == ALWAYS_OPEN
    assert ("readinessProbe", "/readyz") in asked
    args = container["args"]
    listens = int(args[args.index("--port") + 1]) if "--port" in args else settings.web_port
    assert port["containerPort"] == listens
    host = args[args.index("--host") + 1] if "--host" in args else settings.web_host
    assert host == "0.0.0.0"
    # what is stopped has the time that it takes at most
    assert spec_of(owner)["terminationGracePeriodSeconds"] >= settings.session_ms / 1000 + 10
    service = named("Service")[owner["metadata"]["name"]]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]


@pytest.mark.parametrize("role", ["worker", "recommender"])
def test_pods_are_called_by_names_that_are_allowed(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = named("StatefulSet")[f"alsobought-{role}"]
    settings = settings_of(owner, monkeypatch)
    assert settings.instance == f"alsobought-{role}-0"
    assert settings.advertise_host == f"{settings.instance}.{owner['spec']['serviceName']}"
    assert named("Service")[owner["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
    assert settings.worker_hosts is not None
    assert Hosts(settings.worker_hosts.split(",")).has(settings.advertise_host)
    [claim] = owner["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    # Kubernetes' units are those of the setting
    limit = spec_of(owner)["containers"][0]["resources"]["limits"]["memory"]
    assert settings.memory_mib is not None
    assert settings.memory_mib * 2 < int(limit.removesuffix("Gi")) * 1024


def test_tokens_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = named("Secret")["alsobought-tokens"]["stringData"]
    file = tmp_path / "hashes"
    file.write_text(secret["hashes"])
    monkeypatch.setenv("ALSOBOUGHT_TOKENS_FILE", str(file))
    monkeypatch.setenv("ALSOBOUGHT_WEB_HOST", "0.0.0.0")
    settings = load(Settings)
    Doors.of(settings).require_token(settings.web_host, "ALSOBOUGHT_WEB_HOST")
    lines = [line.split(":")[:2] for line in secret["hashes"].splitlines()]
    assert lines == [["page", "read"], ["operator", "admin"]]
    assert {name for name, _ in lines} < secret.keys()


@pods
def test_pods_may_do_nothing_else(owner: Manifest) -> None:
    pod = spec_of(owner)
    uid = int((ROOT / "Dockerfile").read_text().partition("--uid ")[2].split()[0])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == uid
    assert pod["automountServiceAccountToken"] is False
    volumes = {one["name"] for one in pod["volumes"]}
    volumes |= {one["metadata"]["name"] for one in owner["spec"].get("volumeClaimTemplates", [])}
    used = set()
    for container in containers(owner):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["resources"]["limits"]["memory"]
        used |= {mount["name"] for mount in container["volumeMounts"]}
    assert used == volumes
    for volume in pod["volumes"]:
        if secret := volume.get("secret"):
            keys = named("Secret")[secret["secretName"]]["stringData"]
            assert {item["key"] for item in secret.get("items", [])} <= keys.keys()
        if claim := volume.get("persistentVolumeClaim"):
            assert claim["claimName"] in named("PersistentVolumeClaim")


def test_selectors_select_pods_of_ours() -> None:
    labels = {one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"] for one in PODS}
    for kind in ("StatefulSet", "Deployment", "PodDisruptionBudget"):
        for name, one in named(kind).items():
            assert one["spec"]["selector"]["matchLabels"].items() <= labels[name].items(), (kind, name)
    for name, one in named("Service").items():
        assert one["spec"]["selector"].items() <= labels[name].items()
    policies = named("NetworkPolicy")
    [expression] = policies["alsobought-queries"]["spec"]["podSelector"]["matchExpressions"]
    assert {*expression["values"]} == {"alsobought-worker", "alsobought-recommender"}
    ports = {
        port["containerPort"]
        for one in PODS
        for container in containers(one)
        for port in container.get("ports", [])
    }
    allowed = {
        port["port"] for name in ("alsobought-queries", "alsobought-page")
        for rule in policies[name]["spec"]["ingress"] for port in rule["ports"]
    }  # fmt: skip
    assert allowed == ports
    kafka = int(environment(spec_of(PODS[0])["containers"][0], "")["ALSOBOUGHT_KAFKA"].rpartition(":")[2])
    sent = {port["port"] for rule in policies["alsobought"]["spec"]["egress"] for port in rule["ports"]}
    assert sent == {53, kafka, 8100}
