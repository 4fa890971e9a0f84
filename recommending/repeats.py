"""When an item is bought again: the modified Poisson-Gamma model, and which items are due.

The model is that of Bhagat, Muralidharan, Lobzhanidze and Vishwanath, Buy It Again: Modeling Repeat Purchase
Recommendations, KDD 2018. The rate at which a customer who bought an item on k + 1 days buys it again has a
Gamma prior with shape alpha and rate beta, the item's own:

    rate = (k + alpha) / (t + beta)

Here t is the days since the first purchase. In the modified model, until twice the customer's mean gap m has
passed since the newest purchase, t is the days from first to newest plus 2 |m - days since|, so that the rate
is highest when the item is due. We use alpha 1, and as beta the item's mean gap over all customers, shrunk
towards 30 days with the weight of five gaps. The rate is multiplied by the share of the item's buyers who
bought it again.
"""

from __future__ import annotations

from state.memory.arrays import kernel
from state.popularity.counts import DAY_MS, REPEAT_DAYS, REPEATERS, SPAN_MINUTES, Popularity

USUAL_GAP_DAYS = 30.0
GAPS = 5.0  # the usual gap counts as so many gaps
ALPHA = 1.0
BUYERS, SHARE = 10.0, 0.1  # the share of repeaters is shrunk towards SHARE with the weight of BUYERS


@kernel
def mean_gap_days(p: Popularity, item: int) -> float:
    """Return the mean days between two purchases of an item by one customer, shrunk."""
    days = max(p.repeats[item, SPAN_MINUTES], 0) / 1440.0
    return (days + GAPS * USUAL_GAP_DAYS) / (max(p.repeats[item, REPEAT_DAYS], 0) + GAPS)


@kernel
def repeat_probability(p: Popularity, item: int) -> float:
    """Return the share of an item's buyers who bought it on several days, shrunk."""
    return (max(p.repeats[item, REPEATERS], 0) + BUYERS * SHARE) / (max(p.buyers[item], 0) + BUYERS)


@kernel
def own_gap_days(p: Popularity, item: int, first_ms: int, last_ms: int, days: int) -> float:
    """Return the customer's mean gap, shrunk towards the item's with the weight of one gap."""
    return (max(last_ms - first_ms, 0) / DAY_MS + mean_gap_days(p, item)) / max(days, 1)


@kernel
def due_ratio(p: Popularity, item: int, first_ms: int, last_ms: int, days: int, now_ms: int) -> float:
    """Return the days since the newest purchase over the customer's mean gap; 1 when it is due."""
    since = max(now_ms - last_ms, 0) / DAY_MS
    return (since + 0.5) / (own_gap_days(p, item, first_ms, last_ms, days) + 0.5)


@kernel
def rate(p: Popularity, item: int, first_ms: int, last_ms: int, days: int, now_ms: int) -> float:
    """Return the expected purchases of the item by the customer per day."""
    k = max(days, 1) - 1
    span = max(last_ms - first_ms, 0) / DAY_MS
    since = max(now_ms - last_ms, 0) / DAY_MS
    gap = own_gap_days(p, item, first_ms, last_ms, days)
    t = span + (2.0 * abs(gap - since) if since < 2.0 * gap else since)
    return (k + ALPHA) / (t + mean_gap_days(p, item)) * repeat_probability(p, item)
