"""An autoencoder of purchase histories, trained either to reproduce them or to predict what comes next.

Both are the same network with 100 hidden units (Smith and Linden, Two Decades of Recommender Systems at
Amazon.com, IEEE Internet Computing 2017, and Amazon Science, The history of Amazon's recommendation
algorithm, 2019, tell of the difference): trained to complete the matrix of customers and items it falls
behind plain bestsellers; trained on what customers bought next, it does not.

- examples: logs of events, and what a customer had before a cutoff and bought after it
- network: scores of items for histories, and the gradient of the loss
- sampling: which outputs a mini-batch computes when there are many items
- adam: steps down the gradient
- training: mini-batches, early stopping, going on after an interruption
- fitting: both ways of training, from a log
- model: a trained network with the ids of its items, as a file
"""
