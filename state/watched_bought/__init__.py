"""What those who watched an item went on to buy: it turns history changes of both kinds into pair changes.

machine   the machine, one for each partition of customers
crossing  its kernel: it pairs what a customer watched with what the customer bought
exchange  how it gets the purchases, which are published only once somebody has watched something
"""
