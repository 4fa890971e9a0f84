"""What those who watched an item went on to buy: from history changes of both kinds to changes of pairs.

machine   the machine, one for each partition of customers
exchange  how purchases come to it, which are published only once somebody has watched something
"""
