"""How records come from Kafka and go there, and who owns which partition.

transport        Faust's transport, carrying whole fetches
outbox           sending in order, and what of it Kafka has acknowledged
assignment       which worker gets which partitions
lease            whether this process may still take its partitions for its own
foreign          noticing that somebody else wrote to our partition
publishing       publishing many records fast
readers          consumers of no group, made in one place; blocking_reader, views: for commands
reading_ahead    going through something blocking from asyncio
log_identity     of which log a state is
stopping         stopping clients whose broker may be away
"""
