"""The embedded broker, a real single-node Apache Kafka as a child process, and the topics on any Kafka.

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
"""
