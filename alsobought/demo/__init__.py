"""The demo: a year of purchases counted before one's eyes.

command    the command
story      what it tells, in order
moving     a list that moves while purchases come
household  one household: what it is offered, and what it then bought
"""
