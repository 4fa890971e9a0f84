"""The alerts and the dashboard in ops/, and which metrics and labels their expressions name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import Metric
from ruamel.yaml import YAML

OPS = Path(__file__).parents[2] / "ops"
OF_PROMETHEUS = {"up"}
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
_NAME = re.compile(r"\b(?:(?:alsobought|process|python)_\w+|up)\b")
_GROUPED = re.compile(r"by \(([^)]*)\)")
_MATCHED = re.compile(r"(\w+) *(?:=~|!~|!=|=) *\"")
_SHOWN = re.compile(r"{{ *(?:\$labels\.)?(\w+) *}}")


def alerts() -> list[dict[str, Any]]:
    """The rules of ops/alerts.yml."""
    groups = YAML(typ="safe").load((OPS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    """The dashboard of Grafana."""
    found: dict[str, Any] = json.loads((OPS / "grafana" / "dashboards" / "alsobought.json").read_text())
    return found


def expressions() -> dict[str, tuple[str, str]]:
    """By name of alert or panel the expression, and the text that shows labels of its result."""
    found = {rule["alert"]: (rule["expr"], " ".join(rule["annotations"].values())) for rule in alerts()}
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"], target["legendFormat"]
    return found


def named(expression: str) -> set[str]:
    """The metrics that an expression names."""
    return set(_NAME.findall(expression))


def labels_named(expression: str, text: str) -> set[str]:
    """The labels that an expression groups and chooses by, and those that the text shows."""
    grouped = {name.strip() for some in _GROUPED.findall(expression) for name in some.split(",")}
    return grouped | set(_MATCHED.findall(expression)) | set(_SHOWN.findall(text)) - {"value"}


def exported(families: dict[str, Metric]) -> set[str]:
    """The names under which Prometheus has the samples of these metrics."""
    return {name + ending for name, family in families.items() for ending in ENDINGS.get(family.type, ("",))}
