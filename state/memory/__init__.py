"""How machines keep much in little memory.

arrays    large arrays that grow without moving, and what kernels need to read them by address
blocks    blocks of words in an arena; bits: numbers of a few bits each
ids       ids to dense numbers; murmur2: the hash by which Kafka chooses partitions
eviction  what to drop from memory; budget: how much there is for what
"""
