"""The messages on the topics: what they are, and how they are read and written fast.

schema          their types: the reference in docs/ is made from these
decoding        events, record by record: strict, with a reason for each that is refused; checks: the rules
event_columns   events by columns: the way of chunks in which nothing is to be refused
lists_json      related lists as JSON, popularity_json: popularity; json_text: the kernels both use
record_batches  Kafka's batches, written whole; packing: their compression
partitioning    which partition a key belongs to
"""
