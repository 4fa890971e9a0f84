"""How machines keep much in little memory.

arrays    large arrays that grow without moving, and what kernels need to read them by address
blocks    blocks of words in an arena; bits: numbers of a few bits each
ids       ids to dense numbers; item_ids: the items', found by hashes; murmur2: Kafka's hash for partitions
entries   entries of co-occurrence rows, bit by bit
eviction  what to drop from memory; budget: how much there is for what
"""
