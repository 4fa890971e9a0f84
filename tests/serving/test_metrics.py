"""Tests of `/metrics` as Prometheus reads it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import ModelCollector
from streams.http_metrics import HttpMetrics
from tests.serving import shop
from tests.serving.conftest import Shop, get
from tests.serving.test_read_model import model_of


def test_prometheus_reads_the_metrics(shop: Shop) -> None:
    status, body, headers = get(f"{shop.address}/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert found["alsobought_ready",] == 1
    assert found["alsobought_task_applied_offset", "purchases-1"] == 7
    assert found["alsobought_task_stored_offset", "purchases-1"] == 5
    assert found["alsobought_task_events_total", "pair-deltas-0"] == 70
    assert found["alsobought_task_dead_letters_total", "items-0"] == 2
    assert found["alsobought_task_staleness_seconds", "purchases-0"] == 0.25
    assert found["alsobought_task_latency_p50_seconds", "purchases-0"] == 0.04
    assert found["alsobought_task_model_version", "recommender/purchases-0"] == 12
    assert found["alsobought_task_recommended_offset", "recommender/watches-1"] == 6
    assert len(families["alsobought_task_recommended_offset"].samples) == 4  # this belongs to no worker
    # an unknown value is left out and not -1
    assert families["alsobought_task_latency_p99_seconds"].samples == []
    assert families["alsobought_task_listed_offset"].samples == []
    assert found["alsobought_task_lag", "watches-0"] == 0
    assert found["alsobought_quality_cases_total", "", "bought", "ours"] == 200
    assert found["alsobought_quality_hits_total", "", "bestsellers", "bought"] == 20
    assert found["alsobought_quality_hits_total", "bought", "ours", "shown"] == 100
    assert found["alsobought_ranker_cases_total", "bought", "new"] == 400
    assert found["alsobought_published", "bought", "lists"] == 4
    assert all(family.documentation for family in families.values())


def test_labels_are_escaped() -> None:
    odd = 'a "b"\n\\'
    model = model_of(shop.tallied(0, "d", "shown", 10, 5, odd))
    body = HttpMetrics("server", ModelCollector(model)).exposition().decode()
    samples = [s for f in text_string_to_metric_families(body) for s in f.samples]
    assert [s.value for s in samples if s.labels.get("variant") == odd] == [10, 5]
