"""Compact arrays and dictionaries for the machines.

arrays    large arrays that grow without moving, and what kernels need to read them by address
kernel_sources  of which files a kernel is compiled, so that none is out of date
blocks    blocks of words in an arena; bits: numbers of a few bits each
ids       numbers for ids; item_ids: the same for items, by hashes; murmur2: Kafka's hash for partitions
mixing    keys of hash tables, so that nobody can choose ids that all want one place
entries   the entries of co-occurrence rows, bit by bit
eviction  what to drop from memory; budget: how the memory is divided
"""
