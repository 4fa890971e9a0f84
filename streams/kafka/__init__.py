"""How records come from Kafka and go there, and who owns which partition.

transport        Faust's transport, which carries whole fetches
outbox           it sends in order; unacknowledged: what Kafka has not acknowledged yet
assignment       which worker gets which partitions
partitions       the partitions assigned to this process
lease            whether this process still owns its partitions
topic_reader     it reads partitions that this process writes, and finds records by others
publishing       it publishes many records fast
follower         topics for programs without an event loop: all of a topic, and what comes next
readers          consumers of no group, made in one place; blocking_reader: the same for commands
reading_ahead    it runs a blocking iterator from asyncio
log_identity     which topics a state is counted from
stopping         it stops clients whose broker may be away
refusals         what becomes of a process that loses a right in Kafka
"""
