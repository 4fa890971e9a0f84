"""Watches of a small cinema: lasting tastes, films that come and go, and sequels that follow one another."""

from __future__ import annotations

import numpy as np

from chronological.examples import DAY_MS, Log

START_MS = 1_700_000_000_000


def drifting(
    seed: int,
    *,
    customers: int = 1_500,
    films: int = 600,
    days: int = 240,
    genres: int = 6,
    events: int = 30_000,
) -> Log:
    """Return watches of films that run for some weeks: customers watch those, mostly of their genre."""
    rng = np.random.default_rng(seed)
    genre_of = rng.integers(0, genres, films)
    taste = rng.integers(0, genres, customers)
    release = np.sort(rng.integers(-30, days, films))
    appeal = rng.pareto(1.2, films) + 0.2
    who, when = rng.integers(0, customers, events), np.sort(rng.integers(0, days * DAY_MS, events))
    film = np.empty(events, np.int64)
    seen = np.zeros((customers, films), np.bool_)
    for n, (customer, moment) in enumerate(zip(who.tolist(), when.tolist(), strict=True)):
        age = moment / DAY_MS - release
        weights = appeal * np.exp(-np.maximum(age, 0) / 30) * (age >= 0)
        weights = weights * np.where(genre_of == taste[customer], 20.0, 1.0) * ~seen[customer] + 1e-12
        film[n] = np.searchsorted(np.cumsum(weights), rng.random() * weights.sum())
        seen[customer, film[n]] = True
    return Log.of(who, film, START_MS + when, films)


def sequels(seed: int, *, customers: int = 600, series: int = 30, days: int = 120) -> Log:
    """Return watches of series: part 1, part 2 some 10 days later, and part 3 another 10 days later.

    Film 3 s + p - 1 is part p of series s.
    """
    rng = np.random.default_rng(seed)
    who, films, times = [], [], []
    for customer in range(customers):
        for s in rng.choice(series, 4, replace=False).tolist():
            begin = rng.uniform(0, days)
            for part in range(3):
                moment = begin + part * 10 + rng.uniform(-2, 2)
                if 0 <= moment < days:
                    who.append(customer)
                    films.append(3 * s + part)
                    times.append(START_MS + int(moment * DAY_MS))
    return Log.of(np.array(who), np.array(films), np.array(times), 3 * series)
