"""The customer machine: it turns one partition's events into histories and deltas for item partitions.

events         events as columns, which the machine reads; actions: what an event may do
machine        the machine: `CustomerMachine.apply` takes a batch of events and returns what follows from it
pairing        the kernel that applies events to histories, and finds the pairs that follow
routing        the kernel that divides what follows among the item partitions; routed: what each of them gets
numbering      the kernel that makes the table of items of each partition's message
messages       what is sent to the item partitions, and to the crossing machine
histories      the histories in memory; history_memory: reading and filling them, and closing the gaps
repeats        what is bought again; purchase_logs: how it is undone
event_rings    the ids of a customer's newest events, so that a second delivery changes nothing
event_sources  how far each source that numbers its events is applied
daily_limit    how many purchases of a customer count on a day
memory         which customers are in memory; residents: their slots; profiles: who shares an account
saver          the store; codec and keys: a customer's record
"""
