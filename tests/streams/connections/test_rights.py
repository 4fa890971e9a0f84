"""The least rights: each role works with those of the guide, uses each of them, and ends without one."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from alsobought.cli import app
from streams.kafka.follower import send
from streams.kinds import BUILT_IN, LISTED
from streams.messages.schema import CatalogueItem, encode
from streams.rights import ROLES, Right, rights_of
from streams.topics import DAY_MS, PROGRESS, PURCHASES
from tests.events import START_MS, purchases
from tests.streams.connections.secured import PASSWORD, SecuredKafka, settings
from tests.streams.pipeline import PARTITIONS, until

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guide" / "secured-kafka.md"
COMMAND = [sys.executable, "-P", "-m", "alsobought.cli"]
DECISION = re.compile(
    r"Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) from .* on resource = (\w+):LITERAL:(\S+)"
    r" for request"
)


def commands_in(text: str) -> Iterator[tuple[str, list[Right]]]:
    """The principals and rights of the kafka-acls commands of a text."""
    joined = re.sub(r" \\\n *", " ", text)
    for line in re.findall(r"^ +(kafka-acls\.sh .*)$", joined, re.MULTILINE):
        words = shlex.split(line)
        given = list(zip(words[4::2], words[5::2], strict=True))
        assert words[1] == "--bootstrap-server"
        assert words[3] == "--add"
        options = dict(given)
        rights = [
            Right(option.removeprefix("--"), name, options["--operation"])  # type: ignore[arg-type]
            for option, name in given
            if option in ("--topic", "--group")
        ]
        yield options["--allow-principal"], rights


def test_the_guide_has_the_rights_of_each_role() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    found: dict[str, set[Right]] = {}
    for principal, rights in commands_in(text):
        found.setdefault(principal, set()).update(rights)
    assert found == {f"User:{role}": set(rights_of(role, settings())) for role in ROLES}
    for role in ROLES:
        answer = CliRunner().invoke(
            app, ["topics", "rights", role, "--principal", f"User:{role}", "--kafka", "kafka:9092"]
        )
        assert answer.exit_code == 0
        assert "\n".join(f"    {line}" for line in answer.stdout.splitlines()) in text
    wrong = CliRunner().invoke(app, ["topics", "rights", "boss", "--principal", "User:boss"])
    assert wrong.exit_code == 1
    assert "the role must be one of worker, recommender, server, publisher, operator" in wrong.stderr


def test_further_types_of_events_and_another_group_have_their_rights() -> None:
    of = settings(event_types="liked", group="shop")
    assert Right("topic", "liked", "Write") in rights_of("publisher", of)
    assert Right("topic", "pair-deltas-liked", "Write") in rights_of("worker", of)
    assert Right("group", "shop", "Read") in rights_of("worker", of)
    assert Right("group", "shop-recommender", "Read") in rights_of("recommender", of)


class Roles:
    """Each role as a user of SCRAM with the rights of the guide, as processes or commands of this test."""

    def __init__(self, kafka: SecuredKafka, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kafka, self.folder, self._monkeypatch = kafka, folder, monkeypatch
        self.running: list[subprocess.Popen[str]] = []

    def environment(self, role: str) -> dict[str, str]:
        (self.folder / role).mkdir(exist_ok=True)
        return {
            "ALSOBOUGHT_KAFKA": self.kafka.sasl,
            "ALSOBOUGHT_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "ALSOBOUGHT_KAFKA_CA_FILE": str(self.kafka.authority.file),
            "ALSOBOUGHT_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "ALSOBOUGHT_KAFKA_USERNAME": role,
            "ALSOBOUGHT_KAFKA_PASSWORD": PASSWORD,
            "ALSOBOUGHT_DATA_DIR": str(self.folder / role),
            "ALSOBOUGHT_PROGRESS_MS": "200",
            "ALSOBOUGHT_SESSION_MS": "6000",
        }

    def start(self, role: str, *words: str) -> subprocess.Popen[str]:
        with self.log(role).open("ab") as log:
            process = subprocess.Popen(
                [*COMMAND, *words], stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, **self.environment(role)},
            )  # fmt: skip
        self.running.append(process)
        return process

    def log(self, role: str) -> Path:
        return self.folder / f"{role}.log"

    def run(self, role: str, *words: object, status: int = 0) -> str:
        for name, value in self.environment(role).items():
            self._monkeypatch.setenv(name, value)
        answer = CliRunner().invoke(app, [str(word) for word in words])
        assert answer.exit_code == status, answer.output
        return answer.output

    def statuses(self) -> list[int]:
        """Wait until all processes have ended; return with which status."""
        try:
            return [process.wait(90) for process in self.running]
        except subprocess.TimeoutExpired:
            logs = "\n".join(f"{log}: ...{log.read_text()[-2_000:]}" for log in self.folder.glob("*.log"))
            pytest.fail(f"a process goes on without a right.\n{logs}")

    def kill(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def roles(secured: SecuredKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Roles]:
    secured.add_users(ROLES)
    for principal, rights in commands_in(GUIDE.read_text(encoding="utf-8")):
        secured.grant(principal, rights)
    secured.log_decisions()
    roles = Roles(secured, tmp_path, monkeypatch)
    yield roles
    roles.kill()
    for role in ROLES:
        secured.take(f"User:{role}")


def events(file: Path, kind: str, seed: int) -> Path:
    start_ms = START_MS + seed * 100 * DAY_MS
    made = purchases(seed, 20, 30, 300, start_ms=start_ms)
    some = [msgspec.structs.replace(one, type=kind, event_id=None) for one in made]
    file.write_bytes(b"\n".join(encode(one) for one in some))
    return file


@pytest.mark.timeout(240)
def test_each_role_works_with_exactly_its_rights_and_ends_without_one(roles: Roles, tmp_path: Path) -> None:
    kafka = roles.kafka
    # what there may be of earlier processes is read when one starts
    for spec in (PROGRESS, *(kind.recommendations for kind in BUILT_IN)):
        send(kafka.admin, spec, [(p, b"nobody", None) for p in range(PARTITIONS)])
    worker, recommender = roles.start("worker", "worker"), roles.start("recommender", "recommender")
    server = roles.start("server", "serve", "--port", "0")
    roles.run("publisher", "publish", "purchases", events(tmp_path / "bought.jsonl", "purchase", 1))
    roles.run("publisher", "publish", "watches", events(tmp_path / "watched.jsonl", "watch", 2))
    (tmp_path / "items.jsonl").write_bytes(encode(CatalogueItem(item_id="i4", title="Assam", category="tea")))
    roles.run("publisher", "publish", "items", tmp_path / "items.jsonl")
    send(kafka.admin, PURCHASES, [(0, b"x", b"rubbish")])  # a dead letter
    assert "301 purchases" in roles.run("operator", "drain", "--timeout", "120")
    for kind in LISTED:  # what somebody else wrote: workers read it to find out whose lists these are
        send(kafka.admin, kind.lists, [(p, b"foreign", None) for p in range(PARTITIONS)])
    roles.run("publisher", "publish", "purchases", events(tmp_path / "more.jsonl", "purchase", 3))
    roles.run("publisher", "publish", "watches", events(tmp_path / "more.jsonl", "watch", 4))
    assert "601 purchases" in roles.run("operator", "drain", "--timeout", "120")
    assert server.stdout is not None
    address = server.stdout.readline().strip()

    def sells() -> bool:
        with urllib.request.urlopen(f"{address}/api/bestsellers") as answer:
            return bool(json.load(answer)["items"])

    until(sells, "bestsellers on the page")
    assert "i4 Assam (" in roles.run("operator", "related", "i4", "--titles")
    assert "rubbish" in roles.run("operator", "dead-letters")
    assert worker.poll() is recommender.poll() is None
    granted = {(role, *_plain(right)) for role in ROLES for right in rights_of(role, settings())}
    allowed, denied = decisions(kafka)
    assert denied == set()
    # an operator's are for commands that a test of this length does not run
    assert {one for one in granted - allowed if one[0] != "operator"} == set()

    lost = {
        "worker": Right("topic", "pair-deltas", "Write"),
        "recommender": Right("topic", "related-items", "Read"),
        "server": Right("topic", "related-items", "Read"),
    }
    for role, right in lost.items():
        kafka.take(f"User:{role}", [right])
    roles.run("publisher", "publish", "purchases", events(tmp_path / "last.jsonl", "purchase", 5))
    assert roles.statuses() == [1, 1, 1]
    for role, right in lost.items():
        log = roles.log(role).read_text()
        what = f"does not let User:{role} do what is needed here. What is missing: {right}."
        assert what in log
        assert PASSWORD not in log
        assert "Traceback" not in log
        words = ["serve" if role == "server" else role]
        assert what in roles.run(role, *words, status=1), "it does not start again"


def _plain(right: Right) -> tuple[str, str, str]:
    return right.resource, right.name, right.operation.lower()


def decisions(kafka: SecuredKafka) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    """What Kafka has allowed and denied, from its log: each with role, resource, name and operation."""
    decided: dict[str, set[tuple[str, ...]]] = {"Allowed": set(), "Denied": set()}
    for found in DECISION.finditer(kafka.kafka.log.read_text(encoding="utf-8", errors="replace")):
        who, decision, operation, resource, name = found.groups()
        if who in ROLES:
            decided[decision].add((who, resource.lower(), name, operation.lower().replace("_", "")))
    return decided["Allowed"], decided["Denied"]
