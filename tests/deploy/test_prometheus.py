"""Prometheus' rules and Grafana's dashboards: they parse, and ask only for metrics that a node has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from scraping import metric_names

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/rules.yml"
DASHBOARDS = sorted(DEPLOY.glob("grafana/*.json"))
COLUMNS = 24
needs_promtool = pytest.mark.skipif(
	shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def rules() -> list[dict[str, Any]]:
	return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard(path: Path) -> dict[str, Any]:
	loaded = json.loads(path.read_text())
	assert isinstance(loaded, dict)
	return loaded


def queries(path: Path) -> Iterator[str]:
	"""Every query of a dashboard, of its panels and of its variables, as it is when a node is chosen."""
	loaded = dashboard(path)
	for panel in loaded["panels"]:
		for target in panel["targets"]:
			yield target["expr"].replace("$instance", "a-node:9100")
	for variable in loaded["templating"]["list"]:
		if variable["type"] == "query":
			(selector,) = re.findall(r"^label_values\((.*), \w+\)$", variable["query"]["query"])
			yield selector


def promtool(*arguments: object) -> None:
	checked = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60)
	assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_the_rules_are_valid_and_fire_and_stop_as_their_tests_say() -> None:
	promtool("check", "rules", RULES)
	promtool("test", "rules", RULES.with_name("rules_test.yml"))


def test_every_rule_is_tested_and_says_what_to_do() -> None:
	tested = RULES.with_name("rules_test.yml").read_text()
	for rule in rules():
		assert re.search(rf"\b{rule['alert']}\b", tested), rule["alert"]
		assert rule["labels"]["severity"] in ("warning", "critical")
		assert rule["annotations"].keys() == {"summary", "description"}


def test_the_rules_and_dashboards_ask_only_for_metrics_that_a_node_has() -> None:
	asked = [rule["expr"] for rule in rules()] + [query for path in DASHBOARDS for query in queries(path)]
	used = {name for query in asked for name in re.findall(r"\bprego_\w+", query)}
	assert used <= metric_names()
	# Each is shown somewhere.
	assert metric_names() - used == set()


@needs_promtool
@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_every_query_of_a_dashboard_parses(path: Path, tmp_path: Path) -> None:
	recorded = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries(path))]
	assert len(recorded) > 10
	file = tmp_path / "queries.yml"
	file.write_text(json.dumps({"groups": [{"name": "queries", "rules": recorded}]}))
	promtool("check", "rules", file)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_the_panels_lie_beside_each_other_and_ask_the_chosen_prometheus(path: Path) -> None:
	loaded = dashboard(path)
	panels, variables = loaded["panels"], {one["name"] for one in loaded["templating"]["list"]}
	assert len({panel["id"] for panel in panels}) == len(panels)
	taken: set[tuple[int, int]] = set()
	for panel in panels:
		place = panel["gridPos"]
		cells = {
			(x, y)
			for x in range(place["x"], place["x"] + place["w"])
			for y in range(place["y"], place["y"] + place["h"])
		}
		assert not cells & taken and max(x for x, _ in cells) < COLUMNS, panel["title"]
		taken |= cells
		for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
			assert source == {"type": "prometheus", "uid": "${datasource}"}
	assert set(re.findall(r"\$\{?(\w+)", path.read_text())) == variables


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_grafanas_own_schema_knows_all_of_a_dashboard(path: Path) -> None:
	reason = "grafana-foundation-sdk is not installed"
	model = pytest.importorskip("grafana_foundation_sdk.models.dashboard", reason=reason)
	plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins", reason=reason)
	encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder", reason=reason)
	plugins.register_default_plugins()
	known = json.loads(encoder.JSONEncoder().encode(model.Dashboard.from_json(dashboard(path))))
	assert list(unknown_parts(dashboard(path), known)) == []


def unknown_parts(written: object, known: object, place: str = "") -> Iterator[str]:
	"""The places of what the schema dropped or changed. Of what is empty it keeps nothing."""
	if isinstance(written, dict) and isinstance(known, dict):
		for name, value in written.items():
			if value not in ("", [], {}, None):
				yield from unknown_parts(value, known.get(name), f"{place}/{name}")
	elif isinstance(written, list) and isinstance(known, list) and len(written) == len(known):
		for number, value in enumerate(written):
			yield from unknown_parts(value, known[number], f"{place}/{number}")
	elif written != known:
		yield place
