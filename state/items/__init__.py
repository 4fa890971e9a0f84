"""The item machine: one partition's deltas become rows of counts and related lists.

machine        the machine: `ItemMachine.apply` takes a message of deltas, `rank` returns lists
counting       the kernel that applies deltas to rows; pair_counting: the one for what was watched and bought
rows           the rows in memory; entries: their bits; row_memory: reading, filling and dropping rows
relatedness    how much more often two items are bought together than chance would have it
opportunity    how many items a history lets an item pair with: what chance is measured by
ranking        the k best entries of a row; lists: what was published of them
ids            the items' numbers; tables: the arrays by item and by row
saver          its store; codec and row_packing: the records
"""
