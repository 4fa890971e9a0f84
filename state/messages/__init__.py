"""The messages that machines read and write: little-endian, in columns padded to 8 bytes (`wire`).

deltas           how a batch of events changes the counts of one item partition
delta_types      the types of messages in pair-deltas, by which a reader knows what it has
history_changes  which items came into histories and went out of them
transfer         whole histories, for a crossing machine that begins late
checking         whether deltas and pair changes fit together
pair_changes     how history changes affect the pairs of what was watched and then bought
"""
