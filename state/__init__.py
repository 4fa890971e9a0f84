"""The machines: deterministic functions of their logs, without Kafka, clock or randomness.

Each line may only import from the lines above it:

    errors, settings
    storage         where state is kept
    memory          compact arrays and dictionaries
    messages        what machines read and write
    relatedness     how much more often two items are bought together than expected by chance
    customers       the customer machine: it turns events into histories and deltas
    popularity      how popular items are
    items           the item machine: it turns deltas into related lists
    watched_bought  the crossing machine: what those who watched an item went on to buy
    catalogue       the catalogue machine: which items can be bought
    compile         small loads that compile every kernel

The machines can be used as a library. An example with ten purchases:

>>> from state.customers.machine import CustomerMachine
>>> from state.customers.events import Event
>>> from state.items.machine import ItemMachine
>>> baskets = {"ann": "tea milk honey", "bob": "tea milk", "cleo": "tea honey", "dan": "bread butter jam"}
>>> noon = 1_750_000_000_000
>>> purchases = [Event(who, item, noon) for who, basket in baskets.items() for item in basket.split()]
>>> len(purchases)
10
>>> customers, items = CustomerMachine(), ItemMachine()
>>> for deltas in customers.apply(customers.batch(purchases)).deltas[0]:
...     events = items.apply(deltas)
>>> [(related.item_id, related.together) for related in items.related("tea")]
[('milk', 2), ('honey', 2)]
>>> [bought.item_id for bought in customers.history("ann")]
['tea', 'milk', 'honey']
"""
