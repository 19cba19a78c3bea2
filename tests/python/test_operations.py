"""The Prometheus examples of docs/operations.md are YAML of the right shape."""

from pathlib import Path

import yaml

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def test_the_examples_for_prometheus_are_complete():
    blocks = [yaml.safe_load(part.split("```")[0]) for part in DOCUMENT.read_text().split("```yaml\n")[1:]]
    scrape, alerts = blocks
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"]
    rules = alerts["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 8
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "annotations"} and rule["annotations"]["do"], rule
        assert rule["expr"].count("(") == rule["expr"].count(")"), rule
