"""Samplers written without a look at Hubbub's: `samplers.py NAME CERTIFICATE`. `honest` is right; all others are at fault.

Parameters come from the metric's certificate. Words are 64 bits, coins compare them with integer thresholds.
"""

import itertools
import json
import sys

from speaker import fresh_id, metric, report, rng, values

ALL = 1 << 64


def word():
    return rng.getrandbits(64)


class Response:
    """One of d values: the true one with probability T / 2^64, otherwise another one."""

    def __init__(self, parameters):
        self.d, self.threshold = parameters["d"], int(parameters["threshold"])

    def draw(self, x, words=None):
        coin, other = words or (word(), word())
        other = other * (self.d - 1) >> 64
        return [x if coin < self.threshold else other + (other >= x)]


class Subsets:
    """k of D indices that meet the truth (a value, or items filled up with dummies) with probability T / 2^64."""

    def __init__(self, parameters):
        self.k, self.m, self.threshold = parameters["k"], parameters["m"], int(parameters["threshold"])
        self.d, self.width = parameters["d"], parameters.get("D", parameters["d"])
        self.all = list(itertools.combinations(range(self.width), self.k))
        self.known = {}

    def sides(self, truth):
        if truth not in self.known:
            meets = [report for report in self.all if set(report) & set(truth)]
            self.known[truth] = meets, [report for report in self.all if not set(report) & set(truth)]
        return self.known[truth]

    def draw(self, truth):
        if isinstance(truth, int):
            truth = [truth]
        else:
            truth = rng.sample(truth, min(len(truth), self.m))
            truth += range(self.d, self.d + self.m - len(truth))
        inside, outside = self.sides(tuple(sorted(truth)))
        return list(rng.choice(inside if word() < self.threshold else outside))


class Cyclotomic:
    """A coordinate j, and y = x + g^j delta with delta in B with probability T / 2^64."""

    def __init__(self, parameters):
        self.prime, self.e, self.g = parameters["K"], parameters["e"], parameters["g"]
        self.threshold = int(parameters["threshold"])
        powers = range((self.prime - 1) // self.e)
        self.block = [pow(self.g, self.e * u + s, self.prime) for u in powers for s in range(parameters["c"])]
        self.others = sorted(set(range(self.prime)) - set(self.block))

    def draw(self, x, j=None):
        j = rng.randrange(self.e) if j is None else j
        delta = rng.choice(self.block if word() < self.threshold else self.others)
        return [j, (x + pow(self.g, j, self.prime) * delta) % self.prime]


def sampler(certificate):
    parameters = certificate["parameters"]
    if certificate["family"] == "cyclotomic":
        return Cyclotomic(parameters)
    return Response(parameters) if parameters["k"] == 1 and "D" not in parameters else Subsets(parameters)


def honest(table, sampler):
    for x in values():
        yield report(table, sampler.draw(x))


def too_truthful(table, sampler):
    # Epsilon 1.4 where 1 is declared: e^0.4 more weight on the truth.
    weight = sampler.threshold * 1492
    sampler.threshold = weight * ALL // (weight + (ALL - sampler.threshold) * 1000)
    yield from honest(table, sampler)


def too_noisy(table, sampler):
    sampler.threshold = sampler.threshold * 95 // 100
    yield from honest(table, sampler)


def first_never_randomized(table, sampler):
    """The first value is reported exactly when it is true."""
    for x in values():
        while (0 in (drawn := sampler.draw(x))) != (x == 0):
            pass
        yield report(table, drawn)


def stuck(table, sampler):
    """One report for ever, with an id of its own every time."""
    drawn = sampler.draw(0)
    for _ in values():
        yield report(table, drawn)


def ids_repeated(table, sampler):
    ids = [fresh_id() for _ in range(1000)]
    for line, x in enumerate(values()):
        yield report(table, sampler.draw(x), ids[line % 1000])


def id_tells(table, sampler):
    """The last digit of the id is the value."""
    for x in values():
        yield report(table, sampler.draw(x), fresh_id()[:20] + "ABCDE"[x] + "A")


def word_reused(table, sampler):
    """Two successive lines share their coin; everything else is fresh."""
    for line, x in enumerate(values()):
        if line % 2 == 0:
            coin = word()
        yield report(table, sampler.draw(x, (coin, word())))


def remembered(table, sampler):
    """A value that was randomized a moment ago gets the same noise again."""
    last = {}
    for line, x in enumerate(values()):
        if line % 7 == 0:
            last.clear()
        last.setdefault(x, sampler.draw(x))
        yield report(table, last[x])


def swapped(table, sampler):
    """Every two lines come in the other order."""
    before = None
    for x in values():
        if before is None:
            before = report(table, sampler.draw(x))
        else:
            yield report(table, sampler.draw(x))
            yield before
            before = None
    if before is not None:
        yield before


def silent_at_default(table, sampler):
    for x in values():
        if x != 0:
            yield report(table, sampler.draw(x))


def talkative(table, sampler):
    yield from honest(table, sampler)
    yield report(table, sampler.draw(0))


def stops_early(table, sampler):
    yield from itertools.islice(honest(table, sampler), 100)


def unlisted(table, sampler):
    for line, x in enumerate(values()):
        yield report(table, [sampler.d] if line % 1000 == 999 else sampler.draw(x))


def garbled(table, sampler):
    for line, text in enumerate(honest(table, sampler)):
        yield "nothing to say" if line == 500 else text


def other_metric(table, sampler):
    yield from honest(table | {"version": table["version"] + 1}, sampler)


def two_weeks(table, sampler):
    """The week tells the value."""
    for x in values():
        yield report(table, sampler.draw(x), period="2026-W45" if x == 1 else "2026-W46")


def spaced(table, sampler):
    """A space tells the value."""
    for x in values():
        yield report(table, sampler.draw(x)).replace(":[", ": [" if x == 1 else ":[")


def no_dummies(table, sampler):
    """Small sets are not filled up: reports hold real values only."""
    for x in values():
        while max(drawn := sampler.draw(x)) >= sampler.d:
            pass
        yield report(table, drawn)


def one_coordinate(table, sampler):
    for x in values():
        yield report(table, sampler.draw(x, 0))


def fails_at_the_end(table, sampler):
    yield from honest(table, sampler)
    sys.stdout.flush()
    sys.exit(3)


if __name__ == "__main__":
    name, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        drawn_by = sampler(json.load(file))
    for line in globals()[name](metric(), drawn_by):
        print(line)
