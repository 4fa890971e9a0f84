"""Item-to-item by the inner products of columns of a weighted matrix of customers by items.

cosine
    The columns are customers' 0 and 1, scaled to length 1 (Sarwar, Karypis, Konstan and Riedl, WWW 2001):
    customers with both over the root of the customers with the one times those with the other.
bm25
    Each customer is a word, each item a document: an entry of n events weighs
    idf(customer) n (K1 + 1) / (K1 (1 - B + B length / mean length) + n) with the item's events as length, as
    the package implicit has it, with its K1 and B (Robertson and Walker, SIGIR 1994).

Of a history the newest `MOST_ITEMS` distinct items count, which bounds the time that a customer takes.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from scipy import sparse

from evaluation.cooccurrence import AT_ONCE, QUERY_ITEMS, keep_best, neighbours, sums
from evaluation.histories import bought, newest
from evaluation.protocol import Events, Ids
from evaluation.scoring import Scores, Scoring

MOST_ITEMS = 1_000


class Similarity(Scoring):
    """An item-to-item algorithm, defined by the weights of its matrix."""

    @abstractmethod
    def weighted(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return customers x items from the counts of events."""

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Multiply columns, and keep the best of each row."""
        del cutoff_ms
        weighted = self.weighted(bought(before).multiply(newest(before, MOST_ITEMS)).tocsr())
        items, n_items = weighted.T.tocsr(), before.n_items
        work = np.cumsum(items @ np.diff(weighted.indptr))
        kept, first = [], 0
        while first < n_items:
            done = work[first - 1] if first else 0
            last = max(int(np.searchsorted(work, done + AT_ONCE, "right")), first + 1)
            products = (items[first:last] @ weighted).tocoo()
            products.data[products.row + first == products.col] = 0.0  # oneself is no neighbour
            products = products.tocsr()
            columns = products.indices.astype(np.int64)
            kept.append(
                keep_best(
                    products.data,
                    columns,
                    products.indptr.astype(np.int64),
                    n_items,
                    neighbours(n_items),
                )
            )
            self.progress(last / n_items)
            first = last
        self._similar = sparse.vstack(kept, "csr")
        self._query = newest(before, QUERY_ITEMS)

    def scores(self, customers: Ids) -> Scores:
        """Return sums over the newest items of the history."""
        return sums(customers, self._query, self._similar)


class Cosine(Similarity):
    """Scores pairs by the cosine of columns."""

    name = "item-cosine"

    def weighted(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return columns of length 1."""
        has = counts.copy()
        has.data[:] = 1.0
        buyers = np.maximum(has.sum(axis=0).A1, 1.0)
        return (has @ sparse.diags_array(1 / np.sqrt(buyers))).tocsr()


class BM25(Similarity):
    """Scores pairs with Okapi's weights."""

    name = "bm25"
    K1, B = 1.2, 0.75

    def weighted(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """Return the BM25 weight of each entry."""
        n_items = int((np.diff(counts.tocsc().indptr) > 0).sum())
        idf = np.log(n_items) - np.log1p(np.diff(counts.indptr))
        length = counts.sum(axis=0).A1
        norm = 1 - self.B + self.B * length / (length.sum() / max(n_items, 1))
        entries = counts.tocoo()
        n = entries.data
        weight = n * (self.K1 + 1) / (self.K1 * norm[entries.col] + n) * idf[entries.row]
        return sparse.csr_matrix((weight, (entries.row, entries.col)), shape=counts.shape)
