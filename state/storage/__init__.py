"""Where the state of machines is kept, and how it gets there.

saving      writing a machine to its store in a slow rolling sweep, and reading it back
codec       the layout: every record, byte by byte
store       RocksDB on disk, or a dictionary in memory; files: its folder while another process has it open
stored_ids  dictionaries of ids in a store
"""
