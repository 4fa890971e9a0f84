"""The streams: they carry the messages of the machines of `state` over
Kafka, and compute nothing themselves.
"""
