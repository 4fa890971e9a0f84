"""Benches: what the system does a second, how fresh it is, and what it costs. `make bench` runs all."""
