"""docker-compose.yml and the Dockerfile, as their tests read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("alsobought:")}
WATCHING = {name for name, service in SERVICES.items() if service.get("profiles") == ["metrics"]}


def instructions(word: str) -> list[str]:
    """Return what the instructions of a word say in the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2] for line in text.splitlines() if line.startswith(word + " ")]
