"""The filter's contract from outside: true values on stdin, reports on stdout, in order.

HUBBUB_REGISTRY and HUBBUB_METRIC say what is asked. The values of the test registry are called v0, v1, ...; the
generator has a fixed seed, so that a test sees the same reports every time.
"""

import base64
import json
import os
import pathlib
import random
import sys
import tomllib

rng = random.Random(20261115)


def metric():
    """The table of the metric that is asked for."""
    namespace, key = os.environ["HUBBUB_METRIC"].rsplit(".", 1)
    for path in pathlib.Path(os.environ["HUBBUB_REGISTRY"]).glob("*.toml"):
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        if document["namespace"] == namespace and key in document["metric"]:
            return document["metric"][key]
    sys.exit("no such metric")


def values():
    """The true values, as indices; of a set a list of them."""
    for line in sys.stdin:
        text = line.rstrip("\n")
        if text.startswith("["):
            yield [int(label[1:]) for label in json.loads(text)]
        elif text in ("true", "false"):
            yield int(text == "true")
        else:
            yield int(text.removeprefix("v"))


def fresh_id():
    return base64.urlsafe_b64encode(rng.getrandbits(128).to_bytes(16, "big")).decode().rstrip("=")


def report(table, payload, id=None, period="2026-W46"):
    """A report as one compact line."""
    fields = {"v": 1, "metric": table["id"], "version": table["version"], "period": period}
    return json.dumps(fields | {"id": id or fresh_id(), "report": payload}, separators=(",", ":"))
