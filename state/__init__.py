"""The machines: deterministic functions of their logs, without Kafka, clock or randomness."""
