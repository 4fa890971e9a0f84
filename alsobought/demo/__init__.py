"""The demo: it counts a year of purchases while the user watches.

command    the command line of the demo
story      the steps of the demo, in order
moving     it shows one list that changes while purchases are counted
household  it shows what one household is offered, and what it then bought
"""
