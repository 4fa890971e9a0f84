"""Matrix factorisation for implicit feedback by alternating least squares, from the package `implicit`.

The method is that of Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, ICDM
2008: it finds vectors of customers and items whose product is near 1 where there are events and near 0
elsewhere; n events weigh ALPHA n. It runs with one thread and a seed, so that two runs give the same.
"""

from __future__ import annotations

from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from evaluation.histories import bought
from evaluation.protocol import Events, Ids
from evaluation.scoring import Scores, Scoring

SEED = 0
ITERATIONS = 15
FACTORS = 64
ALPHA = 10.0


class ALS(Scoring):
    """Alternating least squares."""

    name = "als"

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Factorise the counts of events."""
        del cutoff_ms
        with threadpool_limits(1, "blas"):  # the package's own threads work on what BLAS would
            self.model = AlternatingLeastSquares(
                FACTORS, alpha=ALPHA, iterations=ITERATIONS, random_state=SEED, num_threads=1
            )
            done = iter(range(1, ITERATIONS + 1))
            self.model.fit(
                bought(before).astype("float32"), show_progress=False,
                callback=lambda *_: self.progress(next(done) / ITERATIONS),
            )  # fmt: skip

    def scores(self, customers: Ids) -> Scores:
        """Return the products of the vectors."""
        products: Scores = self.model.user_factors[customers] @ self.model.item_factors.T
        return products.astype("float64")
