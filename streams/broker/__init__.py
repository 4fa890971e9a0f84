"""The embedded broker, a real single-node Apache Kafka as a child process, and the topics on any Kafka.

from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics

embedded       the broker; properties: how it is configured; datadir: its files; ports: free ones
jars           Kafka's jars; java: which Java runs them; jvm: how; class_archive: so that it starts faster
guard          it keeps a broker from outliving the program that started it
topics_admin   it makes and describes topics; admin: the connection with which it does
topic_checks   how topics differ from what they should be
rights_check   what this process may do; inspection: what a Kafka says of itself
errors         what may be wrong
"""
