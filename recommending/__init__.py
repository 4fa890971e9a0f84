"""What each customer should see now, and why: from lists, popularity and the customer's history.

- list_view: the lists of all items of a kind, as arrays; id_table: items by the bytes of their ids
- catalogue: what else is known of items, and filters
- gathering: sums over the lists of a history's items; candidates: which items are considered
- features, repeats, tastes: the numbers a ranker weighs
- ranker: the weights, learnt online; learner: what tests and teaches them
- picking: which of the ranked are shown, and what explains them
- recommender: all of it, for a customer at a moment
"""
