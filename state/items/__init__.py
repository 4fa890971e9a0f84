"""The item machine: it turns one partition's deltas into rows of counts and related lists.

machine        the machine: `ItemMachine.apply` takes a message of deltas and counts it
listing        what ranks its rows into lists, and reads them: `rank` returns lists
memory         what it knows of its items and rows, and which rows are in memory
counting       the kernel that applies deltas to rows; pair_counting: that for what was watched and bought
tables         the arrays by item and by row; marks: what is to be done about each row
rows           counting a pair in a row and taking it back; row_layout: how rows lie in memory
row_memory     reading, filling and dropping rows
opportunity    how many items a history lets an item pair with, from which expectations are computed
ranking        the k best entries of a row, found with a heap; lists: the lists, and what was published
neighbour_popularity  the popularity of the items of other partitions, as far as a machine knows it
popularity_changes    which items have another popularity than was published
sharing        how machines of one process share their items' popularity without a topic
saver          the store; codec and row_packing: the records
"""
