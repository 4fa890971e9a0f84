"""What those who watched an item went on to buy: it turns history changes of both kinds into pair changes.

machine   the machine, one for each partition of customers
exchange  how it gets the purchases, which are published only once somebody has watched something
"""
