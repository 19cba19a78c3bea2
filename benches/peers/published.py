"""What the papers say: variances as formulas, and small implementations of our own where no package has the mechanism.

E = e^epsilon. Variances are those of one report's contribution, so an estimate from n reports has that divided by n;
they are for fixed respondents, the noise alone, which is also what error.py measures.

Sources: k-RR, OUE, OLH: Wang, Blocki, Li, Jha (USENIX Security 2017). Subset selection: Ye, Barg (2018). Hadamard
response: Acharya, Sun, Zhang (AISTATS 2019). Duchi's mechanism: Duchi, Jordan, Wainwright (2018). Piecewise and hybrid:
Wang et al. (ICDE 2019). Padding and sampling: Wang, Li, Jha (S&P 2018), k-RR with its amplified epsilon.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# --- shares -----------------------------------------------------------------------------------------------------------


def support_error(pi1: float, pi0: float, mean_share: float) -> float:
    """Averaged over values: a report supports its own value with chance pi1, any other with pi0."""
    return (mean_share * pi1 * (1 - pi1) + (1 - mean_share) * pi0 * (1 - pi0)) / (pi1 - pi0) ** 2


def krr(d: int, epsilon: float) -> float:
    e = math.exp(epsilon)
    return support_error(e / (e + d - 1), 1 / (e + d - 1), 1 / d)


def symmetric_unary(d: int, epsilon: float) -> float:
    half = math.exp(epsilon / 2)
    return support_error(half / (half + 1), 1 / (half + 1), 1 / d)


def optimized_unary(d: int, epsilon: float) -> float:
    return support_error(1 / 2, 1 / (math.exp(epsilon) + 1), 1 / d)


def local_hashing(d: int, epsilon: float) -> float:
    g = round(math.exp(epsilon)) + 1
    return support_error(math.exp(epsilon) / (math.exp(epsilon) + g - 1), 1 / g, 1 / d)


def subset_selection(d: int, epsilon: float) -> float:
    """With the packages' size of the subset, d / (E + 1) rounded."""
    e = math.exp(epsilon)
    k = max(1, round(d / (e + 1)))
    pi1 = k * e / (k * e + d - k)
    return support_error(pi1, (pi1 * (k - 1) + (1 - pi1) * k) / (d - 1), 1 / d)


def hadamard(d: int, epsilon: float) -> float:
    """Values lie in blocks. A report adds +1 or -1 to each value of the block it falls into, scaled by c / (E - 1),
    c = 2 blocks - 1 + E; it falls into the block of its own value with chance (E + 1) / c, into another with 2 / c."""
    e = math.exp(epsilon)
    blocks = 1 if epsilon <= 1 else 2 ** math.floor(math.log2(min(2 * d, e)))
    capacity = 2 ** math.ceil(math.log2(d / blocks + 1)) - 1
    sizes = [capacity] * (d // capacity) + [d % capacity]
    neighbours = sum(size * (size - 1) for size in sizes) / d
    c = 2 * blocks - 1 + e
    strangers = d - 1 - neighbours
    own = c * (e + 1) / (e - 1) ** 2 - 1
    return (own + neighbours * c * (e + 1) / (e - 1) ** 2 + strangers * 2 * c / (e - 1) ** 2) / d


def published_limit(_: int, epsilon: float) -> float:
    """OUE and OLH as published, for rare values: 4E / (E - 1)^2."""
    return 4 * math.exp(epsilon) / (math.exp(epsilon) - 1) ** 2


# --- means of values on [-1, 1] ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MeanMechanism:
    """An unbiased report for x in [-1, 1], and its variance there."""

    name: str
    report: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    variance: Callable[[np.ndarray, float], np.ndarray]
    largest: Callable[[float], float]


def duchi_bound(epsilon: float) -> float:
    return (math.exp(epsilon) + 1) / (math.exp(epsilon) - 1)


def duchi_report(x: np.ndarray, epsilon: float, rng: np.random.Generator) -> np.ndarray:
    up = rng.random(len(x)) < 0.5 + x / (2 * duchi_bound(epsilon))
    return np.where(up, duchi_bound(epsilon), -duchi_bound(epsilon))


def duchi_variance(x: np.ndarray, epsilon: float) -> np.ndarray:
    return duchi_bound(epsilon) ** 2 - x**2


def duchi_largest(epsilon: float) -> float:
    return duchi_bound(epsilon) ** 2


def piecewise_report(x: np.ndarray, epsilon: float, rng: np.random.Generator) -> np.ndarray:
    s = math.exp(epsilon / 2)
    c = (s + 1) / (s - 1)
    left = (c + 1) / 2 * x - (c - 1) / 2
    near = left + (c - 1) * rng.random(len(x))
    far = -c + (c + 1) * rng.random(len(x))
    far = np.where(far < left, far, far + c - 1)
    return np.where(rng.random(len(x)) < s / (s + 1), near, far)


def piecewise_variance(x: np.ndarray, epsilon: float) -> np.ndarray:
    s = math.exp(epsilon / 2)
    return x**2 / (s - 1) + (s + 3) / (3 * (s - 1) ** 2)


def piecewise_largest(epsilon: float) -> float:
    s = math.exp(epsilon / 2)
    return 4 * s / (3 * (s - 1) ** 2)


def hybrid_threshold() -> float:
    """The epsilon below which the hybrid mechanism is Duchi's, about 0.61."""
    root = math.sqrt(241)
    return math.log((-5 + 2 * (6353 - 405 * root) ** (1 / 3) + 2 * (6353 + 405 * root) ** (1 / 3)) / 27)


def hybrid_part(epsilon: float) -> float:
    """The share of reports made by the piecewise mechanism."""
    return 1 - math.exp(-epsilon / 2) if epsilon > hybrid_threshold() else 0.0


def hybrid_report(x: np.ndarray, epsilon: float, rng: np.random.Generator) -> np.ndarray:
    piecewise = rng.random(len(x)) < hybrid_part(epsilon)
    return np.where(piecewise, piecewise_report(x, epsilon, rng), duchi_report(x, epsilon, rng))


def hybrid_variance(x: np.ndarray, epsilon: float) -> np.ndarray:
    part = hybrid_part(epsilon)
    return part * piecewise_variance(x, epsilon) + (1 - part) * duchi_variance(x, epsilon)


def hybrid_largest(epsilon: float) -> float:
    if epsilon <= hybrid_threshold():
        return duchi_largest(epsilon)
    e, s = math.exp(epsilon), math.exp(epsilon / 2)
    return (s + 3) / (3 * s * (s - 1)) + (e + 1) ** 2 / (s * (e - 1) ** 2)


def laplace_report(x: np.ndarray, epsilon: float, rng: np.random.Generator) -> np.ndarray:
    return x + rng.laplace(scale=2 / epsilon, size=len(x))


def laplace_variance(x: np.ndarray, epsilon: float) -> np.ndarray:
    return np.full(len(x), laplace_largest(epsilon))


def laplace_largest(epsilon: float) -> float:
    return 8 / epsilon**2


MEANS = (
    MeanMechanism("Duchi", duchi_report, duchi_variance, duchi_largest),
    MeanMechanism("piecewise", piecewise_report, piecewise_variance, piecewise_largest),
    MeanMechanism("hybrid", hybrid_report, hybrid_variance, hybrid_largest),
    MeanMechanism("Laplace", laplace_report, laplace_variance, laplace_largest),
)

# --- our own laws, for the largest variance of a mean -----------------------------------------------------------------


def window_largest(d: int, epsilon: float) -> float:
    """Of the window mechanism with the best window for a mean of 0..d-1."""
    return min(filter(None, (window_largest_of(d, w, epsilon) for w in range(1, 2 * d + 1))))


def window_largest_of(d: int, w: int, epsilon: float) -> float | None:
    e, size = math.exp(epsilon), d + w - 1
    p = e * w / (e * w + d - 1)
    inside, outside = p / w, (1 - p) / (d - 1)
    slope = p - outside * w
    if slope <= 0:
        return None
    x, y = np.arange(d, dtype=float), np.arange(size, dtype=float)
    # Sums of y and y^2 over the window x..x+w-1 from their running totals.
    first, second = (np.concatenate(([0.0], np.cumsum(power))) for power in (y, y**2))
    near_first, near_second = (total[w:] - total[:d] for total in (first, second))
    mean = inside * near_first + outside * (first[-1] - near_first)
    square = inside * near_second + outside * (second[-1] - near_second)
    if not np.allclose(np.diff(mean), slope):
        raise ArithmeticError(f"the mean of the window's reports is not linear in the value (d {d}, w {w})")
    return float(np.max(square - mean**2) / slope**2)


def folded_largest(top: int, epsilon: float) -> float:
    """Of the folded geometric mechanism on 0..top."""
    alpha = math.exp(-epsilon / top)
    x, y = np.arange(top + 1)[:, None], np.arange(top + 1)[None, :]
    law = alpha ** np.abs(y - x) * (1 - alpha) / (1 + alpha)
    law[:, 0], law[:, -1] = law[:, 0] / (1 - alpha), law[:, -1] / (1 - alpha)
    unbiased = np.arange(top + 1, dtype=float)
    unbiased[0], unbiased[-1] = -alpha / (1 - alpha), top + alpha / (1 - alpha)
    mean, square = law @ unbiased, law @ unbiased**2
    if not np.allclose(mean, x[:, 0]):
        raise ArithmeticError(f"the folded geometric estimate is not unbiased (0..{top})")
    return float(np.max(square - mean**2))


# --- sets -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PaddingAndSampling:
    """A device pads its set with dummies to m items, draws one of them, reports it with a mechanism for categories over
    d values and m dummies whose pi1 and pi0 are given, and the server multiplies by m."""

    name: str
    chances: Callable[[int, int, float], tuple[float, float]]
    one_answer: bool

    def shares(self, member: np.ndarray, m: int, epsilon: float, rng: np.random.Generator) -> np.ndarray:
        n, d = member.shape
        pi1, pi0 = self.chances(d, m, epsilon)
        slots = np.cumsum(member, axis=1, dtype=np.int16)
        drawn = rng.integers(m, size=n)
        # The drawn slot's item; slots beyond the set's size are dummies, numbered from d.
        item = np.where(drawn < slots[:, -1], np.argmax(slots > drawn[:, None], axis=1), d + drawn)
        if self.one_answer:
            lie = rng.integers(d + m - 1, size=n)
            reported = np.where(rng.random(n) < pi1, item, lie + (lie >= item))
            count = np.bincount(reported, minlength=d + m)[:d]
        else:
            # Given the drawn items, the bits of all devices are independent: the count of a column is two binomials.
            holders = np.bincount(item, minlength=d + m)[:d]
            count = rng.binomial(holders, pi1) + rng.binomial(n - holders, pi0)
        return m * (count / n - pi0) / (pi1 - pi0)

    def variance(self, d: int, m: int, epsilon: float, mean_share: float) -> float:
        """Averaged over values; the draw of one item of m is noise too."""
        pi1, pi0 = self.chances(d, m, epsilon)
        drawn = pi1 / m + (1 - 1 / m) * pi0
        return support_error(drawn, pi0, mean_share)


def amplified_krr(d: int, m: int, epsilon: float) -> tuple[float, float]:
    e = m * (math.exp(epsilon) - 1) + 1
    return e / (e + d + m - 1), 1 / (e + d + m - 1)


def unary_chances(_d: int, _m: int, epsilon: float) -> tuple[float, float]:
    return 1 / 2, 1 / (math.exp(epsilon) + 1)


PADDING = (
    PaddingAndSampling("padding and sampling, k-RR", amplified_krr, one_answer=True),
    PaddingAndSampling("padding and sampling, OUE", unary_chances, one_answer=False),
)


def published_padding_krr(d: int, m: int, epsilon: float) -> float:
    """For rare values: m^2 (D - 2 + E') / (E' - 1)^2 over the D values and dummies, E' = m (E - 1) + 1."""
    amplified = m * (math.exp(epsilon) - 1) + 1
    return m**2 * (d + m - 2 + amplified) / (amplified - 1) ** 2


def published_padding_unary(_d: int, m: int, epsilon: float) -> float:
    """For rare values, OUE and OLH alike: m^2 4E / (E - 1)^2."""
    return m**2 * published_limit(0, epsilon)
