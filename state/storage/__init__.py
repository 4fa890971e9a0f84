"""Where the state of machines is stored, and how it gets there.

saving      fuzzy checkpoints: it writes a machine to its store in a slow rolling sweep, and reads it back
codec       the layout of every record, byte by byte
store       RocksDB on disk, or a dictionary in memory; files: a store that another process has open
stored_ids  dictionaries of ids in a store
"""
