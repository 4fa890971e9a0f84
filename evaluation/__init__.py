"""Find out which algorithm recommends what is bought next: all answer the same question about the same
events.
"""
