"""Where the state of machines is stored, and how it gets there.

saving      fuzzy checkpoints: it writes a machine to its store in a slow rolling sweep, and reads it back
codec       the layout of every record, byte by byte
store       what a store can do, and one in memory
rocks_store the store on disk, in RocksDB; files: a store that another process has open
stored_ids  dictionaries of ids in a store
"""
