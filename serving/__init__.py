"""What shops and merchandisers ask: an HTTP API and a page over what is published.

read_model    what the compacted topics hold, in memory
following     fills it from Kafka
answers       what is asked of it, as JSON
statistics    quality, experiments and what was learnt, summed over partitions
owners        what only the worker that holds a customer can answer
metrics       the same for Prometheus
api           paths and parameters
server        runs all that
page/         for people
"""
