"""An autoencoder of purchase histories, trained either to reproduce them or to predict what comes next.

Both are the same network with 100 hidden units. Trained to complete the matrix of customers and items, it is
worse than plain bestsellers; trained on what customers bought next, it is not (Smith and Linden, Two Decades
of Recommender Systems at Amazon.com, IEEE Internet Computing 2017; Amazon Science, The history of Amazon's
recommendation algorithm, 2019).

- examples: logs of events, and what a customer had before a cutoff and bought after it
- network: scores of items for histories, and the gradient of the loss
- sampling: which outputs a mini-batch computes when there are many items
- adam: the steps along the gradient; kernels: the loops over rows that training spends its time in
- training: mini-batches, early stopping, and resuming after an interruption
- fitting: both ways of training, from a log
- model: a trained network with the ids of its items, as a file; errors: what may be wrong
"""
