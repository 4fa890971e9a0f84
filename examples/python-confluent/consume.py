"""Print related items as they change, with confluent-kafka: python consume.py [HOST:PORT]"""

import json
import sys

from confluent_kafka import Consumer, KafkaException

servers = sys.argv[1] if len(sys.argv) > 1 else "localhost:9092"
consumer = Consumer(
    {
        "bootstrap.servers": servers,
        "group.id": "my-shop-python",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    }
)
consumer.subscribe(["related-items"])
while True:
    record = consumer.poll(1.0)
    if record is None:
        continue
    if record.error():
        raise KafkaException(record.error())
    item, message = record.key().decode(), record.value() and json.loads(record.value())
    if message is None:
        print(item, "has no list any more", flush=True)
    else:
        print(item, [(entry["item_id"], entry["together"]) for entry in message["related"]], flush=True)
