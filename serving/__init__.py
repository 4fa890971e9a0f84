"""An HTTP API and a page for shops and merchandisers, over what is published.

read_model    what the compacted topics hold, in memory
follower      it fills the read model from Kafka
answers       the answers to questions, as JSON
statistics    quality, experiments and what was learnt, summed over partitions
owners        questions that only the worker or recommender with the customer can answer
metrics       the same for Prometheus
api           paths and parameters
server        it runs all that
page/         the page for people
"""
