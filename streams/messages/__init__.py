"""The messages on the topics: their types, and how they are read and written fast.

schema          the types; the reference in docs/ is made from these
decoding        events, record by record: strict, with a reason for each that is refused; checks: the rules
event_columns   events by columns: for chunks in which nothing is refused; event_fields: their fields, which
                event_parsing reads from JSON in a kernel
lists_json      related lists as JSON; popularity_json: popularity; json_text: the kernels that both use
record_batches  Kafka's batches, written whole; packing: their compression
partitioning    which partition a key belongs to; partitioning_many: the same for many keys at once
reasons         why a record is refused, in a few classes
"""
