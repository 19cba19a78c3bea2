"""Seeded populations with a known truth."""

from __future__ import annotations

import numpy as np

ZIPF_EXPONENT = 1.1


def zipf_weights(d: int) -> np.ndarray:
    weights = np.arange(1, d + 1, dtype=float) ** -ZIPF_EXPONENT
    return weights / weights.sum()


def zipf(d: int, n: int, seed: int) -> np.ndarray:
    """One of d values for each of n devices."""
    return np.random.default_rng(seed).choice(d, size=n, p=zipf_weights(d))


def zipf_sets(d: int, max_items: int, n: int, seed: int) -> np.ndarray:
    """A set of 0 to max_items of d values for each of n devices, as a table of memberships."""
    rng = np.random.default_rng(seed)
    # The largest of log weight + Gumbel noise, in their order, are a draw by weight without replacement.
    keys = -(np.log(zipf_weights(d)) + rng.gumbel(size=(n, d)))
    largest = np.argpartition(keys, max_items, axis=1)[:, :max_items]
    order = np.take_along_axis(largest, np.argsort(np.take_along_axis(keys, largest, axis=1), axis=1), axis=1)
    taken = np.arange(max_items) < rng.integers(max_items + 1, size=n)[:, None]
    member = np.zeros((n, d), dtype=bool)
    np.put_along_axis(member, order, taken, axis=1)
    return member


def uniform(top: int, n: int, seed: int) -> np.ndarray:
    """Whole numbers from 0 to top, all equally likely."""
    return np.random.default_rng(seed).integers(top + 1, size=n)


def skewed(top: int, n: int, seed: int) -> np.ndarray:
    """Whole numbers from 0 to top, most of them small: a tenth of the range on average."""
    return np.minimum(np.random.default_rng(seed).geometric(1 / (0.1 * top + 1), size=n) - 1, top)
