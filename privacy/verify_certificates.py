#!/usr/bin/env python3
"""Checks the certificates of `hubbub audit` against the registry. Exit 0: all hold; 1: one does not; 2: bad input.

All that bears on privacy is computed again, in integers and fractions, from kind, d and epsilon; only the choice of k,
of e and c, or of w, and the poisoning gain are taken as they are.
"""
import argparse
import hashlib
import json
import re
import sys
import tomllib
from fractions import Fraction
from itertools import count, pairwise
from math import comb, isqrt
from pathlib import Path

WORD = 1 << 64
MAX_COUNTERS = 1 << 26  # what a server holds for one metric; it also bounds the primes tried here
MAX_WIDTH = Fraction(1, 10**12)  # a wider enclosure of the realized epsilon would say nothing
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError)


def require(holds, message):
    if not holds:
        raise ValueError(message)


def same(name, stated, right):  # the number 1 is neither `true` nor the text "1"
    require(type(stated) is type(right) and stated == right, f"{name} is {stated!r:.100}, not {right!r:.100}")


def integer(name, value, low, high):
    require(type(value) is int and low <= value <= high, f"{name} = {value!r:.80} is not an integer in {low}..{high}")
    return value


def fraction(text):
    require(re.fullmatch("[0-9]{1,40}([./][0-9]{1,40})?", text), f"{text!r:.80} is neither a decimal nor a fraction")
    return Fraction(text)


def exp_bounds(x):
    """Ever narrower fractions around e^x; a Taylor series' tail is at most twice its first term from 2|x| terms on."""
    require(abs(x) <= 32, f"epsilon {float(abs(x))} protects nobody")
    for terms in (64 << n for n in count()):
        low, term = Fraction(0), Fraction(1)
        for n in range(1, terms + 1):
            low, term = low + term, term * abs(x) / n
        yield (low, low + 2 * term) if x >= 0 else (1 / (low + 2 * term), 1 / low)


def floor_exp(x, scale):
    return next(scale * low // 1 for low, high in exp_bounds(x) if scale * low // 1 == scale * high // 1)


def exp_is_at_most(x, bound):
    # For a fraction x, e^x is a fraction only at 0, where the bounds meet; elsewhere they part from `bound` some time.
    return next(high <= bound for low, high in exp_bounds(x) if high <= bound or low > bound)


def two_level(bound, inside, outside):
    """T, the largest ratio T outside / ((2^64 - T) inside), and the likelihood of an output outside and inside."""
    threshold = int(WORD * bound * inside / (outside + bound * inside) // 1)
    likelihood = ((WORD - threshold) * inside, threshold * outside)
    return str(threshold), Fraction(likelihood[1], likelihood[0]), likelihood


def subset(given, metric, bound):
    d, m, dummies = metric["d"], metric.get("max_items", 1), metric.get("max_items", 0)
    size = d + dummies  # a set is filled up to m items with d, d + 1, ...
    k = integer("k", given["k"], 1, size - m)
    require(metric["mechanism"] != "randomized_response" or k == 1, f"k = {k} is no randomized response")
    threshold, ratio, likelihood = two_level(bound, comb(size, k) - comb(size - m, k), comb(size - m, k))

    def likely(x, output):
        indices = [integer("an index of the output", i, 0, size - 1) for i in output]
        require(len(indices) == k and indices == sorted(set(indices)), f"the output is not {k} ascending indices")
        return likelihood[not set(indices).isdisjoint([*x, *range(d, size - len(x))])]
    right = {"d": d, "k": k, "m": m, "threshold": threshold} | ({"D": size} if dummies else {})
    return right, ratio, likely, k * (size - 1).bit_length()


def cyclotomic(given, metric, bound):
    is_prime = lambda n: all(n % p for p in range(2, isqrt(n) + 1))  # for n above 1
    d, e = metric["d"], integer("e", given["e"], 2, MAX_COUNTERS)
    prime, c = integer("K", given["K"], max(d, e + 1), MAX_COUNTERS // e), integer("c", given["c"], 1, e - 1)
    same("K", prime, next(n for n in count(max(d, e + 1)) if n % e == 1 and is_prime(n)))
    r, orders = c * (prime - 1) // e, [(prime - 1) // q for q in range(2, prime) if prime % q == 1 and is_prime(q)]
    g = next(g for g in count(2) if all(pow(g, order, prime) != 1 for order in orders))
    threshold, ratio, likelihood = two_level(bound, r, prime - r)

    def likely(x, output):
        j, y = (integer(*part) for part in zip("jy", output, (0, 0), (e - 1, prime - 1), strict=True))
        cosets = (pow((y - x[0]) * pow(g, -j - s, prime), (prime - 1) // e, prime) for s in range(c))
        return likelihood[1 in cosets]
    right = {"d": d, "K": prime, "e": e, "c": c, "g": g, "r": r, "threshold": threshold}
    return right, ratio, likely, (e * prime - 1).bit_length()


def window(given, metric, bound):
    d, w = metric["d"], integer("w", given["w"], 1, MAX_COUNTERS)
    threshold, ratio, likelihood = two_level(bound, w, d - 1)
    likely = lambda x, output: likelihood[x[0] <= integer("the output", output, 0, d + w - 2) < x[0] + w]
    right = {"d": d, "w": w, "K": d + w - 1, "goal": metric.get("goal", "mean"), "threshold": threshold}
    return right, ratio, likely, (d + w - 2).bit_length()


def folded_geometric(_, metric, bound):
    last, floor = metric["d"] - 1, floor_exp(-metric["epsilon"] / (metric["d"] - 1), WORD)
    for alpha in (Fraction(floor + (1 << bits), WORD) for bits in range(14, 41)):
        ends, inner = ([int(WORD * part * alpha**n / (1 + alpha)) for n in range(last + 1)] for part in (1, 1 - alpha))
        table = [[ends[x], *(inner[abs(x - y)] for y in range(1, last)), ends[last - x]] for x in range(last + 1)]
        for x, row in enumerate(table):
            row[x] += WORD - sum(row)
        ratio = max(Fraction(max(column), min(column)) for column in zip(*table))
        if ratio <= bound:
            break
    digest = hashlib.sha256(b"".join(weight.to_bytes(8, "big") for row in table for weight in row)).hexdigest()
    right = {"max": last, "alpha_2_64": str(int(alpha * WORD)), "weights_sha256": "sha256:" + digest}
    return right, ratio, lambda x, output: table[x[0]][integer("the output", output, 0, last)], last.bit_length()


FAMILIES = {"boolean": [subset], "categorical": [subset, cyclotomic], "set": [subset], "ordered": [window],
            "count": [folded_geometric, window]}


def verify(certificate, metrics):
    name, given, witness = (certificate[key] for key in ("metric", "parameters", "attained_by"))
    require(name in metrics, f"metric {name!r:.80} is not in the registry, or has another certificate")
    metric = metrics.pop(name)
    require(fraction(certificate["epsilon"]) == metric["epsilon"], f"epsilon is not {float(metric['epsilon'])}")
    family = next((family for family in FAMILIES[metric["kind"]] if family.__name__ == certificate["family"]), None)
    require(family, f"family {certificate['family']!r:.80} does not serve kind {metric['kind']}")
    named = {"randomized_response": "subset", "auto": family.__name__}.get(metric["mechanism"], metric["mechanism"])
    bound = Fraction(floor_exp(metric["epsilon"], 1 << 128), 1 << 128)
    right, ratio, likely, bits = family(given, metric, bound)
    same("the list of parameters", sorted(given), sorted(right))
    right |= {"format": "hubbub-certificate/1", "version": metric["version"], "kind": metric["kind"], "family": named,
              "values": metric["d"], "ratio": "{}/{}".format(*ratio.as_integer_ratio()), "report_bits": bits}
    for key, value in right.items():
        same(key, (certificate | given)[key], value)
    require(ratio <= bound, "the largest likelihood ratio is above e^epsilon")
    low, high = map(fraction, certificate["epsilon_realized"])
    require(low <= high <= low + MAX_WIDTH, "epsilon_realized is no narrow enclosure")
    encloses = exp_is_at_most(low, ratio) and (ratio == 1 or not exp_is_at_most(high, ratio))
    require(encloses, "epsilon_realized does not enclose the logarithm of the ratio")
    chances = []
    for text in (witness["likely"], witness["unlikely"]):
        labels = json.loads(text) if metric["kind"] == "set" else [text]
        known = set(labels) <= set(metric["labels"]) and len(labels) <= metric.get("max_items", 1)
        require(known, f"the input {text:.80} is no value of the metric")
        chances.append(likely([metric["labels"].index(label) for label in set(labels)], witness["output"]))
    require(Fraction(*chances) == ratio, "attained_by does not attain the ratio")
    return f"{family.__name__}, epsilon {certificate['epsilon']}, realized at most {float(high):.12f}"


def read_registry(directory):
    metrics = {}
    for document in (tomllib.loads(path.read_text(encoding="utf-8")) for path in directory.glob("[!.]*.toml")):
        for key, metric in document.get("metric", {}).items():
            data, privacy, name = metric["data"], metric["privacy"], f"{document['namespace']}.{key}"
            if "values_file" in data:
                content = (directory / data["values_file"]).read_bytes()
                same(name, hashlib.sha256(content).hexdigest(), data["values_sha256"].removeprefix("sha256:"))
                data["values"] = content.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
            labels = {"boolean": ["false", "true"], "count": [str(n) for n in range(data.get("max", 0) + 1)],
                      "ordered": [f"{low}..{high}" for low, high in pairwise(data.get("edges", []))]}
            data["labels"] = labels.get(data["kind"]) or data["values"]
            rest = {"epsilon": fraction(privacy["epsilon"]), "mechanism": privacy.get("mechanism", "auto")}
            metrics[name] = data | rest | {"d": len(data["labels"]), "version": metric["version"]}
    require(metrics, "no *.toml file there defines a metric")
    return metrics


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", type=Path, required=True, help="the directory of the registry's *.toml files")
    parser.add_argument("certificates", type=Path, help="the directory of the certificates, one *.json a metric")
    arguments, failed = parser.parse_args(), False
    try:
        metrics = read_registry(reading := arguments.registry)
        files = sorted((reading := arguments.certificates).iterdir())
        certificates = [(reading := path, json.loads(path.read_bytes())) for path in files if path.suffix == ".json"]
    except (OSError, *MALFORMED) as error:
        print(f"reading {reading}: {error!r}", file=sys.stderr)
        return 2
    for path, certificate in certificates:
        try:
            print(f"ok      {path.name}: {verify(certificate, metrics)}")
        except MALFORMED as error:
            failed = True
            print(f"REFUSED {path.name}: {error if type(error) is ValueError else repr(error)}")
    for name in metrics:
        print(f"REFUSED {name}: it has no certificate")
    return 1 if failed or metrics else 0


if __name__ == "__main__":
    sys.exit(main())
