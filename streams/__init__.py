"""The streams: they carry the messages of the machines of `state` over Kafka, and compute nothing themselves.

app           the topology of a worker, on one screen; recommending: a recommender's, and all of its files
faust_app     what workers and recommenders have in common
topics        what each topic carries; kinds: the kinds of events, with topics and lists of their own
settings      all settings; settings_sources: where they come from; kafka_settings: those of connections
worker        the tasks of a worker, as partitions come and go; tasks: the tasks, and their cycle
connections   how Kafka is reached; rights: what each role may do there
broker        Kafka as a child process, and the topics on any Kafka
messages      the messages on the topics
kafka         how records come from Kafka and go there
stores        where the state of a task lies
doors         who may ask for what over HTTP
queries       what workers answer; health: whether a process does its work
metrics       metrics of workers and recommenders; http_metrics: of what serves HTTP
process       threads, memory and priority
compile       it compiles every kernel
"""
