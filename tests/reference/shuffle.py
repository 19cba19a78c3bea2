#!/usr/bin/env python3
"""Writes the test vectors of shuffle amplification, or with --check says whether those on disk are what it would write.

Written from the pair of laws in privacy/src/shuffle.rs, by another method than the code there: for every number of
clones and of blanks the outcomes are summed from their definition, with densities in saddle-point form. It takes a
minute or two.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import erfc, exp, expm1, floor, fsum, lgamma, log, log1p, pi, sqrt
from pathlib import Path

GENERATOR = "tests/reference/shuffle.py"
VECTORS = Path(__file__).resolve().parents[2] / "privacy" / "tests" / "vectors" / "shuffle.json"

LIKELY, MORE = 8, 30  # totals within so many standard deviations, and so many more, of the mean: a few 1e-15 lie beyond
NEGLIGIBLE = 1e-13  # of a row's first term
CLOSE = 1e-10  # how near ln(delta) must come
DIGITS = 9  # of a result that are written; at a million reports about 11 are right

ALL = [(epsilon, values) for epsilon in ("0.5", "1.0", "2.0", "4.0") for values in (5, 100)]
OWN_BETA = {  # with that of randomized response over so many values; the others of the large crowds take minutes
    10**3: ALL,
    10**4: [pair for pair in ALL if pair not in (("0.5", 5), ("1.0", 5))],
    10**5: [("0.5", 100), ("1.0", 100), ("4.0", 5)],
    10**6: [("4.0", 100)],
}


def stirling_error(n: int) -> float:
    """ln n! less its leading terms (n + 1/2) ln n - n + ln(2 pi)/2."""
    if n < 40:
        return lgamma(n + 1) - ((n + 0.5) * log(n) - n + 0.5 * log(2 * pi))
    return 1 / (12 * n) - 1 / (360 * n**3) + 1 / (1260 * n**5) - 1 / (1680 * n**7)


def tilt(observed: float, expected: float, excess: float) -> float:
    """observed ln(observed/expected), from their difference."""
    return observed * log1p(excess / expected)


def binomial(n: int, p: float, k: int) -> float:
    """The density of Bin(n, p) at k."""
    if not 0 <= k <= n:
        return 0.0
    if k in (0, n):
        return exp(n * (log(p) if k else log1p(-p)))
    q, excess = 1 - p, k - n * p
    deviance = tilt(k, n * p, excess) + tilt(n - k, n * q, -excess)
    correction = stirling_error(n) - stirling_error(k) - stirling_error(n - k)
    return exp(correction - deviance) / sqrt(2 * pi * k * (n - k) / n)


@dataclass(frozen=True)
class Crowd:
    epsilon: float
    beta: float
    reports: int

    def delta(self, central: float) -> float:
        clone = self.beta / expm1(self.epsilon)
        totals = likely(self.reports - 1, 2 * clone, 1, 1)
        return fsum(self.row(m, clone, exp(central)) for m in totals)

    def row(self, m: int, clone: float, factor: float) -> float:
        """The sum of max(0, P - factor Q) over the outcomes (i, j, l) with i + j = m."""
        ratio, others = exp(self.epsilon), self.reports - 1
        blank = 1 - clone * (ratio + 1)
        blank = blank if blank > 1e-12 else 0.0
        share = blank / ratio / (1 - 2 * clone)  # of the others that are no clones, blanks
        fair = Fair(m)
        # Beside a device that is a clone of either side, m - 1 others are; beside a blank one, m.
        spoke = binomial(others, 2 * clone, m - 1)
        silent = binomial(others, 2 * clone, m) * blank
        rest = self.reports - m
        total = 0.0
        for beside_clone, beside_blank in densities(rest, share):
            # Over the density of Bin(m, 1/2) at i; (1,0) + (i-1, m-i) has 2i/m of it, (0,1) + (i, m-i-1) the rest.
            one = spoke * beside_clone * 2 * clone / m
            none = silent * beside_blank
            at_0 = one * (m - factor * ratio * m) + none * (1 - factor)
            rise = one * (ratio - 1) * (1 + factor)
            first = floor(-at_0 / rise) + 1 if rise > 0 else m + 1
            if first <= m:
                total += fair.sum(max(first, 0), at_0, rise)
        return total


def likely(trials: int, p: float, more: int, least: int) -> range:
    """Where Bin(trials, p) plus 0 to `more` is likely, from `least` on."""
    reach = LIKELY * sqrt(trials * p * (1 - p)) + (MORE if p > 0 else 0)
    low, high = max(least, floor(trials * p - reach)), min(trials, floor(trials * p + reach)) + more
    return range(low, high + 1)


def densities(rest: int, share: float) -> Iterator[tuple[float, float]]:
    """Of any number of blanks in all: among `rest` others beside a clone, and beside a device's own blank."""
    if share == 0:
        yield 1.0, 0.0
        return
    blanks = likely(rest, share, 0, 0)
    density = binomial(rest, share, blanks[0])
    for count in blanks:
        # Beside its own blank there are count - 1 among rest - 1: C(rest-1, count-1) = C(rest, count) count / rest.
        yield density, density * count / (rest * share) if rest else 0.0
        density *= (rest - count) / (count + 1) * share / (1 - share)


class Fair:
    """Bin(m, 1/2) from any i on."""

    def __init__(self, m: int) -> None:
        self.m = m
        self.sums: dict[int, tuple[float, float]] = {}

    def sum(self, first: int, at_0: float, rise: float) -> float:
        """The sum of density (at_0 + rise i) from i = first, where the bracket begins to be positive."""
        if first not in self.sums:
            self.sums[first] = self.moments(first)
        mass, beyond = self.sums[first]
        return mass * (at_0 + rise * first) + rise * beyond

    def moments(self, first: int) -> tuple[float, float]:
        density = start = binomial(self.m, 0.5, first)
        mass = beyond = 0.0
        for i in range(first, self.m + 1):
            mass += density
            beyond += density * (i - first)
            density *= (self.m - i) / (i + 1)
            if density < NEGLIGIBLE * start:
                break
        return mass, beyond


def root(f: Callable[[float], float], guess: float, high: float) -> float:
    """The zero of a falling f in (0, high]: by secants from a guess, or by bisection where they lead astray."""
    before, now = guess, guess * 1.001
    at_before, at_now = f(before), f(now)
    for _ in range(12):
        if abs(at_now) < CLOSE:
            return now
        if at_now == at_before:
            break
        step = at_now * (now - before) / (at_now - at_before)
        before, at_before, now = now, at_now, now - step
        if not 0 < now < high:
            break
        at_now = f(now)
    low = 0.0
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    return high


def gaussian_guess(crowd: Crowd, delta: float) -> float:
    """The central epsilon if the crowd's noise were Gaussian: where to look first."""
    shift = sqrt(2 * crowd.beta * expm1(crowd.epsilon) / crowd.reports)

    def tail(x: float) -> float:
        return erfc(x / sqrt(2)) / 2

    low, high = 0.0, crowd.epsilon
    for _ in range(60):
        middle = (low + high) / 2
        value = tail(middle / shift - shift / 2) - exp(middle) * tail(middle / shift + shift / 2)
        low, high = (middle, high) if value > delta else (low, middle)
    return high


def central(crowd: Crowd, delta: float) -> float:
    def miss(x: float) -> float:
        found = crowd.delta(x)
        return (log(found) if found > 0 else -750.0) - log(delta)

    return root(miss, gaussian_guess(crowd, delta), crowd.epsilon)


def generic(epsilon: float) -> float:
    return expm1(epsilon) / (exp(epsilon) + 1)


def randomized_response(epsilon: float, values: int) -> float:
    return expm1(epsilon) / (exp(epsilon) + values - 1)


def questions() -> Iterator[tuple[str, str | None, int, str]]:
    """Epsilon, beta (none: generic), reports, delta, as they are written."""
    for reports in (10**3, 10**4, 10**5, 10**6):
        for epsilon in ("0.5", "1.0", "2.0", "4.0"):
            for delta in ("1e-6", "1e-8"):
                yield epsilon, None, reports, delta
            for values in (5, 100):
                if (epsilon, values) in OWN_BETA[reports]:
                    yield epsilon, f"{randomized_response(float(epsilon), values):.6f}", reports, "1e-6"
    for reports in (2, 5, 30):
        yield "1.0", None, reports, "1e-3"
        yield "3.0", "0.5", reports, "1e-6"
    yield "0.01", None, 10**4, "1e-8"
    yield "8.0", None, 10**6, "1e-8"
    yield "8.0", "0.9", 10**5, "1e-12"


def case(question: tuple[str, str | None, int, str]) -> dict[str, str | int | None]:
    epsilon, beta, reports, delta = question
    crowd = Crowd(float(epsilon), generic(float(epsilon)) if beta is None else float(beta), reports)
    found = central(crowd, float(delta))
    return {"epsilon": epsilon, "beta": beta, "reports": reports, "delta": delta, "central": f"{found:.{DIGITS}g}"}


def render() -> str:
    """One case a line, so that a change shows as the cases it touches."""
    with ProcessPoolExecutor(2) as pool:
        lines = ",\n".join(json.dumps(found, separators=(",", ":")) for found in pool.map(case, questions()))
    return f'{{"generator":{json.dumps(GENERATOR)},"cases":[\n{lines}\n]}}\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file would change")
    check = parser.parse_args().check
    text = render()
    if VECTORS.exists() and VECTORS.read_text(encoding="utf-8") == text:
        return 0
    if check:
        print(f"{VECTORS.name} differs from what this program writes", file=sys.stderr)
        return 1
    VECTORS.parent.mkdir(parents=True, exist_ok=True)
    VECTORS.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
