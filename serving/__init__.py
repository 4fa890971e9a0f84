"""An HTTP API and a page for shops and merchandisers, over what is published.

read_model     what the compacted topics hold, in memory; kind_model: that of one kind of lists
packed_values  messages in little memory; title_index: which items have a word in their titles
follower       it fills the read model from Kafka
answers        the answers to questions, as JSON; kept_answers: the newest ones, encoded
searching      which items a search finds
statistics     quality, experiments and what was learnt, summed over partitions
owners         questions that only the worker or recommender with the customer can answer
metrics        the same for Prometheus
api            which path asks what; parameters: what may be asked; responses: JSON, errors and headers
live, pulse    what happens now, as events for the page
buying         purchases that are made on the page of a demo
server         it runs all that
page/          the page for people
"""
