"""The item machine: one partition's deltas become rows of counts and related lists.

machine        the machine: `ItemMachine.apply` takes a message of deltas, `rank` returns lists
counting       the kernel that applies deltas to rows; pair_counting: the one for what was watched and bought
rows           the rows in memory; row_memory: reading, filling and dropping rows
opportunity    how many items a history lets an item pair with: what chance is measured by
ranking        the k best entries of a row; lists: what was published of them
tables         the arrays by item and by row
neighbour_popularity  how popular the items of other partitions are, as far as a machine knows
popularity_changes    which items have another popularity than was published of them
sharing        how machines of one process share their items' popularity without a topic
saver          its store; codec and row_packing: the records
"""
