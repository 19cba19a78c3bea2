"""The verifier of certificates accepts honest ones and refuses every tampered one.

Certificates come from the reference in tests/reference, so no program is needed; with HUBBUB_AUDIT, a directory that
`hubbub audit --registry metrics --out DIR` made, the program's own are verified too.
"""

import copy
import hashlib
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERIFIER = ROOT / "privacy" / "verify_certificates.py"
sys.path.insert(0, str(ROOT / "tests" / "reference"))

from choice import auto, family, parameters
from cyclotomic import Cyclotomic
from folded_geometric import FoldedGeometric
from subset import Sets, Subset

LABELS = [f"value {n}" for n in range(300)]
# For each family and kind: the registry's data table, epsilon and mechanism.
METRICS = {
    "flag": ("kind = 'boolean'", "1.0", "auto"),
    "vendor": (f"kind = 'categorical'\nvalues = {LABELS[:24]}", "0.5", "subset"),
    "answer": (f"kind = 'categorical'\nvalues = {LABELS[:5]}", "2", "randomized_response"),
    "application": ("kind = 'categorical'\nvalues_file = 'values/many.txt'\nvalues_sha256 = '{digest}'", "1.0", "auto"),
    "features": (f"kind = 'set'\nvalues = {LABELS[:30]}\nmax_items = 4", "1.0", "auto"),
    "memory": ("kind = 'ordered'\nedges = [0, 1, 2, 4, 8, 16]\ngoal = 'quantiles'\nabsent = 0", "3.0", "auto"),
    "uptime": (f"kind = 'ordered'\nedges = {list(range(-3, 40))}\ngoal = 'mean'\nabsent = 0", "1.0", "window"),
    "crashes": ("kind = 'count'\nmax = 20", "0.25", "folded_geometric"),
    "windows": ("kind = 'count'\nmax = 50", "4.0", "auto"),
    "updates": ("kind = 'count'\nmax = 100", "16.0", "folded_geometric"),
}


def choose(data, epsilon, mechanism):
    """The mechanism of the reference, with the inputs and the output whose ratio is the largest."""
    d, m, goal = len(data["labels"]), data.get("max_items"), data.get("goal")
    if mechanism == "randomized_response":
        law = Subset(epsilon, d, 1)
    elif mechanism == "folded_geometric":
        law = FoldedGeometric(epsilon, d - 1)
    else:
        law = auto(data["kind"], d, m, goal, epsilon)
    labels = data["labels"]
    if isinstance(law, Sets):
        # Reports are no longer than the real values, so one can miss the first m of them; the other set meets it.
        ends = json.dumps(labels[law.k - 1 : law.k]), json.dumps(labels[law.k : law.k + law.m])
        return law, (*ends, list(range(law.k)))
    if isinstance(law, Subset):
        return law, (labels[0], labels[-1], list(range(law.k)))
    if isinstance(law, Cyclotomic):
        # y = g^s with s >= c: inside seen from y - 1, where the difference is 1; outside seen from 0.
        y = next(y for y in (pow(law.g, s, law.K) for s in range(law.c, law.e)) if y < law.d)
        return law, (labels[y - 1], labels[0], [0, y])
    if isinstance(law, FoldedGeometric):
        column, y = max((Fraction(max(column), min(column)), y) for y, column in enumerate(zip(*law.table)))
        assert column == law.ratio
        weights = [row[y] for row in law.table]
        return law, (labels[weights.index(max(weights))], labels[weights.index(min(weights))], y)
    return law, (labels[0], labels[-1], 0)


def report_bits(law):
    if isinstance(law, Subset | Sets):
        return law.k * max(1, (law.counters - 1).bit_length())
    return (law.counters - 1).bit_length()


def certificate(name, data, epsilon, mechanism):
    law, (likely, unlikely, output) = choose(data, epsilon, mechanism)
    middle = math.floor(math.log(law.ratio) * 10**15)
    ends = (Fraction(middle + step, 10**15) for step in (-8, 8))
    return {
        "format": "hubbub-certificate/1",
        "metric": f"test.{name}",
        "version": 3,
        "kind": data["kind"],
        "values": len(data["labels"]),
        "epsilon": str(float(epsilon)),
        "family": family(law),
        "parameters": parameters(law, data.get("goal")),
        "ratio": f"{law.ratio.numerator}/{law.ratio.denominator}",
        "epsilon_realized": [f"{end.numerator}/{end.denominator}" for end in ends],
        "attained_by": {"likely": likely, "unlikely": unlikely, "output": output},
        "report_bits": report_bits(law),
        "poisoning_gain": "1.000000",
    }


def parsed(name):
    """What the registry's table of a metric means, said again in words of this test."""
    kind = METRICS[name][0].split("'")[1]
    labels = {
        "flag": ["false", "true"],
        "vendor": LABELS[:24],
        "answer": LABELS[:5],
        "application": LABELS,
        "features": LABELS[:30],
        "memory": ["0..1", "1..2", "2..4", "4..8", "8..16"],
        "uptime": [f"{n}..{n + 1}" for n in range(-3, 39)],
        "crashes": [str(n) for n in range(21)],
        "windows": [str(n) for n in range(51)],
        "updates": [str(n) for n in range(101)],
    }[name]
    goal = {"memory": "quantiles", "uptime": "mean"}.get(name)
    return {"kind": kind, "labels": labels, "goal": goal} | ({"max_items": 4} if kind == "set" else {})


@pytest.fixture(scope="module")
def honest():
    return {name: certificate(name, parsed(name), *METRICS[name][1:]) for name in METRICS}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    directory = tmp_path_factory.mktemp("registry")
    values = "".join(label + "\n" for label in LABELS).encode()
    (directory / "values").mkdir()
    (directory / "values" / "many.txt").write_bytes(values)
    digest = "sha256:" + hashlib.sha256(values).hexdigest()
    tables = ["schema = 'hubbub-registry/1'\nnamespace = 'test'\n"]
    for number, (name, (data, epsilon, mechanism)) in enumerate(METRICS.items(), 1):
        tables.append(
            f"[metric.{name}]\nid = {number}\nversion = 3\nstatus = 'draft'\n[metric.{name}.data]\n"
            f"{data.format(digest=digest) if 'digest' in data else data}\n"
            f"[metric.{name}.privacy]\nepsilon = '{epsilon}'\nmechanism = '{mechanism}'\n"
        )
    (directory / "test.toml").write_text("".join(tables), encoding="utf-8")
    return directory


def write(directory, certificates):
    for name, content in certificates.items():
        (directory / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return directory


def verify(registry, certificates):
    command = [sys.executable, str(VERIFIER), "--registry", str(registry), str(certificates)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_honest_certificates_hold(honest, registry, tmp_path):
    result = verify(registry, write(tmp_path, honest))
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == len(METRICS) and all(line.startswith("ok ") for line in lines)
    families = {content["family"] for content in honest.values()}
    assert families == {"subset", "cyclotomic", "window", "folded_geometric"}


def raised(text, step):
    return str(int(text) + step)


def realized(content, low, high):
    content["epsilon_realized"] = [f"{Fraction(end).numerator}/{Fraction(end).denominator}" for end in (low, high)]


def swapped(content):
    ends = content["attained_by"]
    ends["likely"], ends["unlikely"] = ends["unlikely"], ends["likely"]


def replaced(place, value):
    """A change of one entry; `place` names it from the outside in."""

    def change(content):
        *tables, key = place.split(".")
        for table in tables:
            content = content[table]
        content[key] = value(content[key]) if callable(value) else value

    return change


def lower_ratio(text):
    numerator, denominator = text.split("/")
    ratio = Fraction(int(numerator) - 1, int(denominator))
    return f"{ratio.numerator}/{ratio.denominator}"


def spread(text):
    numerator, denominator = text.split("/")
    return f"{2 * int(numerator)}/{2 * int(denominator)}"


# What is changed in whose certificate, and a part of the message that must say so.
TAMPERED = {
    "threshold one more": ("flag", replaced("parameters.threshold", lambda t: raised(t, 1)), "threshold"),
    "threshold one less": ("features", replaced("parameters.threshold", lambda t: raised(t, -1)), "threshold"),
    "threshold as a number": ("flag", replaced("parameters.threshold", int), "threshold"),
    "window's threshold": ("uptime", replaced("parameters.threshold", lambda t: raised(t, 1)), "threshold"),
    "ratio lower": ("vendor", replaced("ratio", lower_ratio), "ratio"),
    "ratio not reduced": ("vendor", replaced("ratio", spread), "ratio"),
    "another k": ("vendor", replaced("parameters.k", lambda k: k + 1), "threshold"),
    "k beyond the values": ("vendor", replaced("parameters.k", 24), "k = 24"),
    "k as a truth value": ("answer", replaced("parameters.k", True), "k = True"),
    "another m": ("features", replaced("parameters.m", 3), "m is 3"),
    "another D": ("features", replaced("parameters.D", 30), "D is 30"),
    "K not prime": ("application", replaced("parameters.K", 321), "K is 321, not 313"),
    "K another prime": ("application", replaced("parameters.K", 317), "K is 317, not 313"),
    "another e": ("application", replaced("parameters.e", 3), "K is"),
    "c as large as e": ("application", replaced("parameters.c", 4), "c = 4"),
    "another c": ("application", replaced("parameters.c", 2), "r is"),
    "another primitive root": ("application", replaced("parameters.g", lambda g: pow(g, 5, 313)), "g is"),
    "another r": ("application", replaced("parameters.r", lambda r: r - 1), "r is"),
    "another w": ("memory", replaced("parameters.w", lambda w: w + 1), "K is"),
    "w = 0": ("memory", replaced("parameters.w", 0), "w = 0"),
    "another goal": ("memory", replaced("parameters.goal", "mean"), "goal is"),
    "another alpha": ("crashes", replaced("parameters.alpha_2_64", lambda t: raised(t, 1)), "alpha_2_64 is"),
    "another digest": ("crashes", replaced("parameters.weights_sha256", "sha256:" + "0" * 64), "weights_sha256 is"),
    "another maximum": ("crashes", replaced("parameters.max", 21), "max is 21"),
    "a parameter too many": ("flag", replaced("parameters", lambda table: table | {"n": 1}), "list of parameters"),
    "a parameter too few": ("memory", lambda content: content["parameters"].pop("goal"), "list of parameters"),
    "family of another kind": ("memory", replaced("family", "folded_geometric"), "does not serve"),
    "family that nobody knows": ("flag", replaced("family", "laplace"), "does not serve"),
    "family other than the registry's": ("crashes", replaced("family", "window"), "'w'"),
    "epsilon smaller": ("flag", replaced("epsilon", "0.5"), "epsilon is not"),
    "epsilon larger": ("crashes", replaced("epsilon", "0.250001"), "epsilon is not"),
    "epsilon in powers": ("flag", replaced("epsilon", "1e400"), "neither a decimal"),
    "epsilon a number": ("flag", replaced("epsilon", 1.0), "TypeError"),
    "another d": ("flag", replaced("parameters.d", 3), "d is 3"),
    "other values": ("windows", replaced("values", 50), "values is 50"),
    "another kind": ("windows", replaced("kind", "ordered"), "kind is"),
    "another version": ("flag", replaced("version", 2), "version is 2"),
    "another format": ("flag", replaced("format", "hubbub-certificate/2"), "format is"),
    "unknown metric": ("flag", replaced("metric", "test.nothing"), "not in the registry"),
    "realized epsilon too low": ("flag", lambda content: realized(content, "0.9", "0.9000000000001"), "enclose"),
    "realized epsilon too high": ("flag", lambda content: realized(content, "1.1", "1.1000000000001"), "enclose"),
    "realized epsilon too wide": ("flag", lambda content: realized(content, "0", "2"), "narrow"),
    "realized epsilon beyond all": ("flag", lambda content: realized(content, "99999", "99999"), "protects nobody"),
    "realized epsilon empty": ("flag", replaced("epsilon_realized", []), "unpack"),
    "inputs swapped": ("application", swapped, "attained_by"),
    "set inputs swapped": ("features", swapped, "attained_by"),
    "another output": ("application", replaced("attained_by.output", [1, 0]), "attained_by"),
    "output out of range": ("memory", replaced("attained_by.output", 40), "the output = 40"),
    "output twice the same": ("vendor", replaced("attained_by.output", lambda output: [0, *output[:-1]]), "ascending"),
    "input that is no value": ("vendor", replaced("attained_by.likely", "value 24"), "no value of the metric"),
    "set input too large": ("features", replaced("attained_by.unlikely", json.dumps(LABELS[10:15])), "no value"),
    "report bits": ("windows", replaced("report_bits", 5), "report_bits"),
    "a missing key": ("flag", lambda content: content.pop("ratio"), "ratio"),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_a_tampered_certificate_is_refused(change, honest, registry, tmp_path):
    name, tamper, message = TAMPERED[change]
    tampered = copy.deepcopy(honest)
    tamper(tampered[name])
    assert json.dumps(tampered) != json.dumps(honest)
    result = verify(registry, write(tmp_path, tampered))
    assert result.returncode == 1, result.stdout + result.stderr
    refused = [line for line in result.stdout.splitlines() if line.startswith(f"REFUSED {name}.json")]
    assert len(refused) == 1 and message in refused[0], result.stdout
    others = [line for line in result.stdout.splitlines() if line.startswith("ok ")]
    assert len(others) == len(METRICS) - 1


def test_a_missing_certificate_is_noticed(honest, registry, tmp_path):
    result = verify(registry, write(tmp_path, {name: honest[name] for name in honest if name != "memory"}))
    assert result.returncode == 1
    assert "REFUSED test.memory: it has no certificate" in result.stdout.splitlines()


def test_a_second_certificate_of_a_metric_is_refused(honest, registry, tmp_path):
    result = verify(registry, write(tmp_path, honest | {"zzz": honest["flag"]}))
    assert result.returncode == 1
    assert "REFUSED zzz.json" in result.stdout


def test_k_of_randomized_response_is_1(honest, registry, tmp_path):
    data = parsed("answer")
    law = Subset("2", 5, 2)
    content = honest["answer"] | {"parameters": parameters(law, None)}
    content["ratio"] = f"{law.ratio.numerator}/{law.ratio.denominator}"
    content["attained_by"] = {"likely": data["labels"][0], "unlikely": data["labels"][4], "output": [0, 1]}
    content["report_bits"] = 6
    result = verify(registry, write(tmp_path, honest | {"answer": content}))
    assert result.returncode == 1 and "no randomized response" in result.stdout


def test_a_greedy_law_is_refused_whatever_it_says(honest, registry, tmp_path):
    """A certificate that is right in itself, of a mechanism for a larger epsilon."""
    greedy = certificate("flag", parsed("flag"), "1.1", "auto") | {"epsilon": "1.0"}
    result = verify(registry, write(tmp_path, honest | {"flag": greedy}))
    assert result.returncode == 1 and "REFUSED flag.json: threshold" in result.stdout


@pytest.mark.parametrize("text", ["{", '{"metric": NaN', "\udcff"])
def test_what_cannot_be_read_is_exit_2(text, honest, registry, tmp_path):
    write(tmp_path, honest)
    (tmp_path / "flag.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    result = verify(registry, tmp_path)
    assert result.returncode == 2 and "flag.json" in result.stderr and result.stdout == ""


def test_a_value_list_of_another_digest_is_exit_2(honest, registry, tmp_path):
    for path in ("test.toml", "values/many.txt"):
        target = tmp_path / "registry" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((registry / path).read_bytes() + (b"one more\n" if path.endswith(".txt") else b""))
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    result = verify(tmp_path / "registry", write(certificates, honest))
    assert result.returncode == 2 and "test.application" in result.stderr


def test_a_directory_that_is_not_there_is_exit_2(registry, tmp_path):
    for result in (verify(registry, tmp_path / "nothing"), verify(tmp_path / "nothing", tmp_path)):
        assert result.returncode == 2 and "nothing" in result.stderr


@pytest.mark.skipif("HUBBUB_AUDIT" not in os.environ, reason="HUBBUB_AUDIT names no directory that `hubbub audit` made")
def test_the_certificates_of_hubbub_audit_hold():
    result = verify(ROOT / "metrics", os.environ["HUBBUB_AUDIT"])
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("ok ") >= 1


def test_the_verifier_is_short_and_needs_nothing_but_exact_arithmetic():
    text = VERIFIER.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    modules = {line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))}
    readers = {"argparse", "hashlib", "json", "pathlib", "re", "sys", "tomllib"}
    assert modules <= readers | {"fractions", "itertools", "math"}
