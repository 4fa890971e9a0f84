"""Recommend to a customer at a moment, from the lists, the popularity and the customer's history."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt

from recommending import picking
from recommending.algorithms import AlgorithmName
from recommending.buffers import Buffers
from recommending.candidates import (
    OF_BESTSELLERS,
    OF_PREDICTED,
    OWN,
    RELATED,
    BestsellerNumbers,
    Candidates,
    History,
    bestsellers,
    find,
)
from recommending.catalogue import Catalogue, Filter, Known
from recommending.chronological import ChronologicalModel, Predictor
from recommending.features import CHRONOLOGICAL, DAY14, N_NEW
from recommending.ranker import Ranker
from recommending.related_lists import IdMapping, RelatedLists
from recommending.starting_weights import new_rankers
from recommending.tastes import new_tastes, no_groups
from state.customers import histories as hs
from state.customers import history_memory
from state.customers.machine import CustomerMachine
from state.memory.item_ids import AnyIds
from state.popularity.counts import Popularity

Shelf = Literal["new", "again", "all"]
CandidateSource = Literal["related", "bestseller", "buy-again", "predicted"]

SOURCES: tuple[CandidateSource, ...] = get_args(CandidateSource)
REFRESH_PURCHASES = 500

NO_HISTORY = History(
    np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
)
_ALL = np.zeros(0, np.uint8)
_NOTHING = np.zeros(0, np.int32)


class Recommendation(NamedTuple):
    """An item, why it is shown, and where it comes from.

    Attributes
    ----------
    score
        The score by which the shelf is ordered, highest first.
    because
        The customer's items that are the strongest reasons, strongest first.
    """

    item_id: str
    score: float
    because: list[str]
    source: CandidateSource


class Popular(Protocol):
    """The popularity of a whole catalogue: that of an item machine, or `state.popularity.view`."""

    @property
    def items(self) -> AnyIds:
        """The ids of the items."""

    @property
    def popularity(self) -> Popularity:
        """The popularity by number of `items`."""

    @property
    def watermark_ms(self) -> int:
        """The newest event time seen."""

    @property
    def customers(self) -> int:
        """The number of customers with an item."""

    @property
    def purchases(self) -> int:
        """The number of purchases so far: a measure of how much has changed."""


class Recommender:
    """Recommends one kind of items to the customers of one partition.

    Parameters
    ----------
    related
        The lists.
    customers
        The partition's histories.
    popular
        The popularity of the whole catalogue.
    catalogue
        The categories, brands and prices.
    rankers
        "new" ranks what a customer does not have, "all" everything; others may share them.
    buffers
        Other recommenders of the same lists may share them.
    """

    def __init__(
        self,
        related: RelatedLists,
        customers: CustomerMachine,
        popular: Popular,
        catalogue: Catalogue | None = None,
        rankers: dict[str, Ranker] | None = None,
        buffers: Buffers | None = None,
    ) -> None:
        self.related, self.customers, self.popular = related, customers, popular
        self.catalogue = Catalogue() if catalogue is None else catalogue
        self.rankers = new_rankers() if rankers is None else rankers
        self.buffers = Buffers(related.k) if buffers is None else buffers
        self._known = Known(self.catalogue, related)
        self._to_popularity = IdMapping(related.items, popular.items, adding=False)
        self._from_popularity = IdMapping(popular.items, related.items, adding=True)
        self._from_history = IdMapping(customers.items, related.items, adding=True)
        self._best = BestsellerNumbers(np.zeros(0, np.int32), np.zeros(0, np.int32))
        self._tastes = new_tastes(no_groups())
        self._looked_at = (-REFRESH_PURCHASES, 0)
        self._predictor: Predictor | None = None

    @property
    def model(self) -> ChronologicalModel | None:
        """The chronological model in use."""
        return None if self._predictor is None else self._predictor.model

    def use(self, model: ChronologicalModel | None) -> None:
        """Use another model, or none, from now on. Must be called before `synchronise`, under the same
        conditions.
        """
        if model is not self.model:
            self._predictor = None if model is None else Predictor(model, self.related.items)
            self._looked_at = (-REFRESH_PURCHASES, 0)

    def synchronise(self) -> None:
        """Take in items that are new in the popularity; items that are not taken in are not recommended.

        If many items were bought since the last time, or a hundredth of the catalogue changed, also find the
        bestsellers and the tastes again. To be called now and then with `related.lock` held, while nobody
        changes the popularity.
        """
        self._from_popularity.up_to_date()
        numbers = self._to_popularity.up_to_date()
        purchases, version = self._looked_at
        entries = self.catalogue.version - version
        enough = min(REFRESH_PURCHASES, max(purchases // 10, 1))  # a shop that has just opened has few
        if abs(self.popular.purchases - purchases) >= enough or 100 * entries > version:
            self._looked_at = self.popular.purchases, self.catalogue.version
            popularity = self.popular.popularity
            most = 2 * OF_BESTSELLERS
            self._best = BestsellerNumbers(
                *(bestsellers(popularity, numbers, days, most) for days in (3, 14))
            )
            buyers = np.where(numbers >= 0, popularity.buyers[np.maximum(numbers, 0)], 0)
            self._tastes = new_tastes(self._known.groups(buyers))
            if self._predictor is not None:
                self._predictor.synchronise(popularity, numbers)

    def history(self, customer_id: str, profile_id: str | None = None) -> History:
        """Return a customer's items, or those that a profile bought last; empty for an unknown customer.

        `related.lock` must be held, and nobody may change the customer machine meanwhile.
        """
        self.customers.bring_in([customer_id], [])
        slot = self.customers.customers.get(customer_id)
        if slot is None or slot >= len(self.customers.included):
            return NO_HISTORY
        self._from_history.up_to_date()
        items, _, first_ms, last_ms, days, recent = history_memory.read(self.customers.histories, slot)
        which = np.ones(len(items), np.bool_)
        if profile_id is not None:
            names = self.customers.profiles.of(slot)
            number = names.index(profile_id) + 1 if profile_id in names else -1
            which = days >> hs.PROFILE_BITS == number
        numbers = self._from_history.numbers[items[which]]
        return History(
            numbers, first_ms[which], last_ms[which], (days[which] & hs.MOST_DAYS).astype(np.int64),
            recent[which].astype(np.float64),
        )  # fmt: skip

    def in_related(self, items: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
        """Return the numbers of the related lists for items of the customer machine. `related.lock` must be
        held.
        """
        return self._from_history.up_to_date()[items]

    def candidates(
        self,
        history: History,
        *,
        unowned: bool,
        own: bool,
        wanted: Filter | None = None,
        flawed: bool = True,
    ) -> Candidates:
        """Return the candidates as of now, which is the newest event time seen. `related.lock` must be held.

        Without `flawed` their independence scores are 0, which saves time.
        """
        self.related.make_room()
        self.buffers.make_room(len(self.related.items))
        allowed = _ALL if wanted is None or wanted.empty else self._known.allowed(wanted)
        predicted, prediction = _NOTHING, None
        if self._predictor is not None and unowned:
            unfit = np.zeros(len(self.related.items), np.bool_)
            unfit[: len(allowed)] = allowed == 0
            unfit[history.item[history.item >= 0]] = True
            predicted, prediction = self._predictor.predict(
                history.item, history.last_ms, OF_PREDICTED, unfit
            )
        found = find(
            self.related.arrays, self.popular.popularity, self._to_popularity.numbers, self.buffers.in_sums,
            self.buffers.owned, self.buffers.sums, self._tastes, self._best, predicted, history,
            self.popular.watermark_ms, self.popular.customers if flawed else 0, allowed, unowned, own,
        )  # fmt: skip
        if prediction is not None:
            new = found.source != OWN
            found.x[new, CHRONOLOGICAL] = prediction.lifts(found.item[new])
        return found

    def scores(
        self, found: Candidates, shelf: Shelf, algorithm: AlgorithmName = "ours"
    ) -> npt.NDArray[np.float64]:
        """Return an algorithm's scores of the candidates found last; "ours" is the shelf's ranker."""
        if algorithm == "bestsellers":
            return found.x[:, DAY14]
        if algorithm != "ours":
            sums = self.buffers.sums.column(algorithm)
            return np.where(found.place >= 0, sums[np.maximum(found.place, 0)], -np.inf)
        if shelf == "new":
            return self.rankers["new"].scores(found.x[:, :N_NEW])
        return self.rankers["all"].scores(found.x)

    def recommend(
        self,
        history: History,
        k: int,
        shelf: Shelf,
        wanted: Filter | None = None,
        algorithm: AlgorithmName = "ours",
    ) -> list[Recommendation]:
        """Return the k best items for a history, best first; fewer if there are no more candidates.

        `related.lock` must be held.

        Parameters
        ----------
        shelf
            "new": what the customer does not have; "again": what the customer has; "all": both.
        wanted
            Which items may be offered.
        """
        found = self.candidates(
            history, unowned=shelf != "again", own=shelf != "new", wanted=wanted, flawed=algorithm == "flawed"
        )
        scores = self.scores(found, shelf, algorithm)
        chosen, because = picking.pick(self.buffers.sums, found.place, found.source == OWN, scores, k)
        numbers = because[because >= 0].tolist()
        name_of = dict(zip(numbers, self.related.items.ids(numbers), strict=True))
        items = self.related.items.ids(found.item[chosen].tolist())
        columns = scores[chosen].tolist(), found.source[chosen].tolist(), because.tolist()
        shown: list[Recommendation] = []
        for item_id, score, source, by in zip(items, *columns, strict=True):
            reasons = [item_id] if source == OWN else [name_of[number] for number in by if number >= 0]
            if source != OWN and reasons:
                source = RELATED
            shown.append(Recommendation(item_id, score, reasons, SOURCES[source]))
        return shown
