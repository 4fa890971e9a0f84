"""Alerts and dashboard have the form that Prometheus and Grafana read; test_running looks up the metrics."""

from __future__ import annotations

import re

import pytest

from tests.observation.ops_files import OPS, alerts, dashboard, expressions, named

RUNBOOKS = OPS.parent / "docs" / "guide" / "runbooks.md"


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    rules = alerts()
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        assert rule["annotations"]["description"].endswith(".")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    sections = RUNBOOKS.read_text().split("\n## ")[1:]
    parts = {section.partition("\n")[0]: section for section in sections}
    assert list(parts) == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/guide/runbooks.md#{rule['alert'].lower()}"
        for part in ("**What it means.**", "**Look.**", "**Do.**", "**Over when**"):
            assert part in parts[rule["alert"]], (rule["alert"], part)


def test_the_dashboard_has_a_place_for_every_panel() -> None:
    found = dashboard()
    assert {"uid", "title", "panels", "schemaVersion"} <= found.keys()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert len({(place["x"], place["y"]) for place in places}) == len(places)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels)


@pytest.mark.parametrize("name", expressions())
def test_every_expression_names_a_metric_and_closes_its_brackets(name: str) -> None:
    expression, _ = expressions()[name]
    assert named(expression)
    opened: list[str] = []
    for character in re.sub(r'"[^"]*"', "", expression):
        if character in "([{":
            opened.append(")]}"["([{".index(character)])
        elif character in ")]}":
            assert opened.pop() == character
    assert not opened
    for counter in re.findall(r"\w+_total\b", expression):
        assert re.search(rf"(rate|increase)\({counter}[^)]*\[\d+[smhd]\]\)", expression), "a counter as it is"
