"""The popularity of items: counted by the partition that owns an item, published, and read by all others.

counts       what is counted of each item, exactly
others       what a machine knows of the popularity of items that other machines count
view         the popularity of a whole catalogue, filled from what owners publish
bestsellers  what sells most and what rises, of all items and of each category
"""
