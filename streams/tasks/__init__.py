"""What a worker does: one task for each partition of an input topic, and the cycle that runs them all.

cycle                 what was fetched goes through all machines; computing: in which thread and order
storing               which slices of state a cycle stores
task                  what all tasks have in common; context: what they share
customers, items, watched_bought, catalogue
                      the tasks by their topic
refresh               keeping lists published; passes: rows that are ranked by and by
freshness             how old what is published is
popularity_publisher  publishing how popular the items of a partition are
others                how popular the items of other partitions are, read for item tasks
"""
