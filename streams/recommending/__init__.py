"""The recommender: what each customer should see, published as it changes, by a process of its own.

app         its topology
tasks       the tasks of a process, and what they share
task        one partition's customers: their events, what is published, what is looked after
advice      what they should see, and what is learnt from what they buy
waiting     who of them is to be recommended to, and when
board       what is known of a kind: lists of all items, popularity, catalogue, learnt weights
follower   reading what is published: lists, popularity, the catalogue, weights, how good it was
list_reading  lists as workers write them, into arrays
offers      which items published recommendations hold
published   what is published of a partition, by whom, and what it offers
models      chronological models: written, announced, and taken into use
sellers     bestsellers and what rises
learnt      what lessons brought
unfinished  what the last owner of a partition left
asking      recommendations on request
messages    what is written
"""
