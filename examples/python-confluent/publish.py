"""Publish purchases with confluent-kafka: python publish.py [HOST:PORT]"""

import json
import sys

from confluent_kafka import Producer

servers = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
producer = Producer(
    {
        "bootstrap.servers": servers,
        "partitioner": "murmur2_random",  # as Kafka's Java client; librdkafka's own choice is another hash
        "acks": "all",
        "message.timeout.ms": 30_000,
    }
)
failed = []


def done(error, _message):
    """Note what could not be published."""
    if error is not None:
        failed.append(error)


for customer, item in [("ann", "tea"), ("ann", "milk"), ("bob", "tea"), ("bob", "milk"), ("eve", "tea")]:
    event = {"customer_id": customer, "item_id": item, "timestamp": "2026-01-31T12:00:00Z"}
    producer.produce("purchases", key=customer, value=json.dumps(event), on_delivery=done)
producer.flush()
sys.exit(f"not published: {failed[0]}" if failed else 0)
