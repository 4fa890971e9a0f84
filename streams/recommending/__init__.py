"""Recommendations beside counting: what each customer should see, published as it changes.

board       what the partitions of a kind share in a worker: lists of all items, catalogue, learnt weights
following   reading what other workers publish: lists, the catalogue, weights, how good it was
models      chronological models: written, announced, and taken into use
unit        one partition's customers: lessons before, recommendations after they buy
sellers     bestsellers and what rises
messages    what is written
"""
