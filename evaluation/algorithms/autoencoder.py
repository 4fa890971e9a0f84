"""The autoencoder, trained to complete the matrix of customers and items, or chronologically.

There are two trainings of one network (`chronological`): to reproduce histories, or to predict from a history
what is bought in the two weeks after it, where the bias of the output is what sold in the two weeks before.
Whether all items or only new ones are asked for is known only when recommending. If the network is of the
wrong sort, it is then trained again, which happens at the first cutoff at most.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from chronological import fitting
from chronological.errors import TooShort
from chronological.examples import DAY_MS, WINDOW_DAYS, Log, histories, log_count
from chronological.network import Network
from chronological.training import Report, Training
from evaluation.protocol import Events, Ids
from evaluation.scoring import Scores, Scoring

Prior = npt.NDArray[np.float32]


class Autoencoder(Scoring):
    """What both trainings share; the network does not know items that fewer than three customers have."""

    def learn(self, before: Events, cutoff_ms: int) -> None:
        """Train the network."""
        customer, item, time_ms = (c.astype(np.int64) for c in (before.customer, before.item, before.time_ms))
        self._log, self._known = fitting.well_known(Log.of(customer, item, time_ms, before.n_items))
        self._cutoff_ms = cutoff_ms
        self._customers, self._histories = histories(self._log)
        self._prior = self.prior(self._log, cutoff_ms)
        self._train()

    def _train(self) -> None:
        self._network: Network | None = None
        try:
            training = self.training(self._log, self._cutoff_ms)
        except TooShort:
            return  # the prior alone ranks
        with threadpool_limits(1, "blas"):  # matrices are too small for more
            training.run(self._report)
        self._network = training.network

    def _report(self, report: Report) -> None:
        self.progress(report.batches / report.of_batches)

    @abstractmethod
    def training(self, log: Log, cutoff_ms: int) -> Training:
        """Return the training on the events of a log."""

    @abstractmethod
    def prior(self, log: Log, cutoff_ms: int) -> Prior:
        """Return the bias of the output as of the cutoff."""

    def scores(self, customers: Ids) -> Scores:
        """Return the network's scores, shifted so that known items have positive ones; others have -inf."""
        known = np.tile(self._prior, (len(customers), 1))
        at = np.searchsorted(self._customers, customers)
        there = at < len(self._customers)
        there[there] = self._customers[at[there]] == customers[there]
        if self._network is not None and there.any():
            known[there] = self._network.scores(self._histories.take(at[there]), self._prior)
        found = np.full((len(customers), self.owned.shape[1]), -np.inf)
        if known.size:
            found[:, self._known] = known - known.min() + 1.0
        return found


class Reconstruction(Autoencoder):
    """Reproduces histories, and recommends the items with the largest weight that are not in them."""

    name = "autoencoder-reconstruction"

    def training(self, log: Log, cutoff_ms: int) -> Training:
        """Return a training on every history before the cutoff."""
        return fitting.reconstruction(log, cutoff_ms)

    def prior(self, log: Log, cutoff_ms: int) -> Prior:
        """Return the prior of all time."""
        del cutoff_ms
        return log_count(log.buyers())


class Chronological(Autoencoder):
    """Predicts what is bought next, including what the customer has already if that counts."""

    name = "autoencoder-chronological"
    _again = False

    def training(self, log: Log, cutoff_ms: int) -> Training:
        """Return a training on what followed histories at earlier cutoffs."""
        return fitting.chronological(log, cutoff_ms, again=self._again)

    def prior(self, log: Log, cutoff_ms: int) -> Prior:
        """Return the prior of the two weeks before the cutoff."""
        return log_count(log.counts(cutoff_ms - WINDOW_DAYS * DAY_MS, cutoff_ms))

    def recommend(self, customers: Ids, k: int, *, new_only: bool) -> Ids:
        """Recommend as `evaluation.protocol.Algorithm` specifies."""
        if self._again == new_only:
            self._again = not new_only
            self._train()
        return super().recommend(customers, k, new_only=new_only)
