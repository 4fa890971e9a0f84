"""Benches measure throughput, freshness and cost of the system. `make bench` runs all of them."""
