"""What a worker does: one task for each partition of an input topic, and the cycle that runs them all.

cycle                 it passes what was fetched through all machines; computing: the thread in which it does;
                      side_by_side: further threads, for other partitions
intake                what of all that was fetched a cycle takes; inbox: what is held, by partition
sending               what follows from chunks; storing: which slices of state a cycle stores
making                which task a partition gets
opening               it opens tasks; reporting: it publishes how far they are; memory: how theirs is divided
task                  what all tasks have in common; outgoing: what they send; context: what they share
customers, items, watched_bought, catalogue
                      the tasks by their topic
backlog               how long the events that are left will take; lateness: whether a task counts a backlog
refresh               it keeps lists published; passes: rows that are ranked over several cycles
foreign_lists         it finds lists that another worker wrote
list_writer           it writes the messages of lists
following             it follows single events to their lists, as spans
freshness             how old what is published is; measured: what is measured for metrics
popularity_publisher  it publishes how popular the items of a partition are
others                the popularity of the items of other partitions, read for item tasks
"""
