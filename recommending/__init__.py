"""What each customer should see now, and why: from lists, popularity and the customer's history.

- related_lists: the lists of all items of a kind, as arrays; id_table: items by the bytes of their ids
- catalogue: categories, brands and prices of items, and filters by them
- gathering: sums over the lists of a history's items; buffers: where they are
- candidates: which items are considered
- features, repeats, tastes: the numbers that the ranker weighs
- chronological: what a chronological network predicts for a customer
- ranker: the weights, learnt online; starting_weights: those that it begins with
- learner, training_steps: they test and train the ranker; visits: the customers who came back
- averaging: the mean of several rankers
- picking: which of the ranked items are shown, and what explains them
- recommender: all of this together, for a customer at a moment
- algorithms, experiments: what else may choose, and which customers are shown what it chooses
- compile: it compiles the kernels
"""
