"""The shipped server against its own /openapi.json, by Schemathesis with all of its checks.

HUBBUB_PROGRAMS names the directory of the built programs (by default target/debug).
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("HUBBUB_PROGRAMS", ROOT / "target" / "debug")) / "hubbub-aggregator"
SCHEMATHESIS = Path(sys.executable).with_name("st")
# A Wednesday, while the metrics of the registry are collected.
NOW = 1795608000
WEEK = "2026-W48"
# For the broad run: a document cannot say which weeks are open, nor that a set's indices ascend.
BROAD = '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", 422]\n'
STRICT = '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx"]\n'
# What JSON Schema has no words for: whole numbers are written without a point. For strict runs also the open week and
# the order of indices.
HOOKS = """
import os
import schemathesis

def written(value):
    if isinstance(value, dict):
        return {key: written(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [written(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value

@schemathesis.hook
def map_body(context, body):
    body = written(body)
    if "OPEN_WEEK" in os.environ and isinstance(body, dict):
        body["period"] = os.environ["OPEN_WEEK"]
        if isinstance(body["report"], list):
            body["report"].sort()
    return body
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    place = tmp_path_factory.mktemp("server")
    (place / "clock").write_text(str(NOW))
    config = {"listen": "127.0.0.1:0", "store": place / "store", "registry": ROOT / "metrics"}
    config |= {"export_dir": place / "counters", "node": "a"}
    (place / "aggregator.toml").write_text("".join(f"{key} = {json.dumps(str(value))}\n" for key, value in config.items()))
    command = [PROGRAM, "run", "--config", place / "aggregator.toml", "--test-clock", place / "clock"]
    with open(place / "log", "w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        line = process.stdout.readline()
        assert line.startswith("listening on "), (place / "log").read_text()
        try:
            yield line.removeprefix("listening on ").strip()
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0


def run(place, url, document, config, *options, week=None):
    """Exit code and output of Schemathesis; every run with the same settings makes the same requests."""
    (place / "schemathesis.toml").write_text("warnings = false\n" + config)
    (place / "hooks_of_this_test.py").write_text(HOOKS)
    (place / "openapi.json").write_text(json.dumps(document))
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks_of_this_test", "PYTHONPATH": str(place)}
    environment |= {"OPEN_WEEK": week} if week else {}
    command = [SCHEMATHESIS, "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", url, "--no-color"]
    command += ["--checks", "all", "--generation-deterministic", "--request-timeout", "30", *options]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def document(url):
    with urllib.request.urlopen(url + "/openapi.json", timeout=30) as response:
        return json.load(response)


def test_every_operation_behaves_as_described(server, tmp_path):
    code, output = run(tmp_path, server, document(server), BROAD, "--max-examples", "60")
    assert code == 0, output
    assert "9 selected / 9 total" in output, output


def test_every_report_that_fits_the_document_is_taken(server, tmp_path):
    # A report that waits is answered after two seconds, so there are few.
    only = ["--include-path", "/v1/reports", "--phases", "fuzzing", "--mode", "positive", "--max-examples", "12"]
    code, output = run(tmp_path, server, document(server), STRICT, *only, week=WEEK)
    assert code == 0, output
    code, output = run(tmp_path, server, document(server), STRICT, *only, week="2020-W01")
    assert code == 1 and "422" in output, "a closed week was not noticed:\n" + output


@pytest.mark.parametrize("status", ["400", "415", "422"])
def test_a_status_that_is_not_described_is_noticed(server, tmp_path, status):
    described = document(server)
    del described["paths"]["/v1/reports"]["post"]["responses"][status]
    code, output = run(tmp_path, server, described, BROAD, "--include-path", "/v1/reports", "--max-examples", "60")
    assert code == 1 and "Undocumented status code" in output, output


def test_a_field_that_is_not_described_is_noticed(server, tmp_path):
    described = document(server)
    answer = described["paths"]["/v1/reports"]["post"]["responses"]["422"]["content"]["application/json"]["schema"]
    answer["properties"]["code"]["enum"].remove("period_closed")
    code, output = run(tmp_path, server, described, BROAD, "--include-path", "/v1/reports", "--max-examples", "60")
    assert code == 1 and "period_closed" in output, output
