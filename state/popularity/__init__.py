"""How popular items are: counted by the partition that owns an item, published, and read by all others.

counts       what is counted of each item, exactly
changes      which items have another popularity than was published of them
neighbours   how popular the items of other partitions are, as far as a machine knows
view         the popularity of a whole catalogue, filled from what owners publish
bestsellers  what sells most and what rises, of everything and of each category
sharing      how machines of one process share their items' popularity without a topic
"""
