"""Carries the machines of `state` over Kafka; holds no arithmetic."""
