"""The recommender: a process that publishes what each customer should see, as it changes.

app           its topology
tasks         the tasks of a process, and what they share
task          one partition's customers: it applies their events, and answers questions about them
recommendations
              it publishes what they should see, as it changes
advice        what customers should see, and learning from what they buy
waiting       which customers wait for recommendations, and since when
board         what is known of a kind: lists of all items, popularity, catalogue, learnt weights
follower      it reads what is published: lists, popularity, catalogue, weights, quality, models
alignment     it keeps what is read in step with the events
list_reading  it reads lists into arrays; list_parsing: the kernel that reads what workers write
offers        which items published recommendations hold
published     what is published for a partition, and by whom
models        chronological models: it writes, announces and loads them
sellers       bestsellers and trending items
learnt        it publishes what was learnt
pacing        how much time training and recommending may take
unfinished    what the last owner of a partition left undone
queries       the questions that it answers over HTTP; asking: recommendations on request
messages      the messages that it writes
"""
