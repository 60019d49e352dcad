"""The scheduled workflows: steps run here with stubs for `gh` and `npx`, and one issue is the alert."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from fleet_exports import metrics, node, tenant

WORKFLOW = Path(__file__).parents[2] / "deploy/github-actions/fleet-freshness.yml"
CONTENT: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
JOB = CONTENT["jobs"]["judge"]
STEPS = {step["name"]: step for step in JOB["steps"] if "name" in step}

# A stand-in keeps open issues in a file, and a line for each thing that it was asked to change.
GH = """#!{python}
import json, os, sys
from pathlib import Path
issues = Path(os.environ["ISSUES"])
known = json.loads(issues.read_text())
arguments = sys.argv[1:]
if os.environ.get("GH_FAILS"):
	sys.exit("gh: HTTP 503")
assert os.environ["GH_TOKEN"] == "token" and os.environ["GH_REPO"] == "owner/repository"
def value(option):
	return arguments[arguments.index(option) + 1]
if arguments[:2] == ["issue", "list"]:
	assert value("--state") == "open" and value("--json") == "number" and value("--jq") == ".[].number"
	print("\\n".join(str(issue["number"]) for issue in known if issue["open"]))
	sys.exit()
if arguments[:2] == ["issue", "create"]:
	known.append({{"number": len(known) + 1, "open": True}})
	arguments.insert(2, str(len(known)))
if arguments[:2] in (["issue", "create"], ["issue", "edit"]):
	issue = known[int(arguments[2]) - 1]
	issue.update(title=value("--title"), body=Path(value("--body-file")).read_text())
if arguments[:2] == ["issue", "close"]:
	known[int(arguments[2]) - 1]["open"] = False
issues.write_text(json.dumps(known))
with open(os.environ["CALLS"], "a") as calls:
	calls.write(" ".join(arguments[:2]) + "\\n")
"""
NPX = """#!{python}
import os, sys
from pathlib import Path
assert os.environ["CLOUDFLARE_API_TOKEN"] == "token" and "GH_TOKEN" not in os.environ
assert "--remote" in sys.argv and "--json" in sys.argv and "metrics-db" in sys.argv
table = sys.argv[-1].split()[-1]
path = Path(os.environ["D1"]) / table
if not path.exists():
	sys.exit("wrangler: no such table")
print(path.read_text())
"""


class Runner:
	"""Runs the workflow's shell steps as GitHub does, against tables in a folder."""

	def __init__(self, folder: Path) -> None:
		self.folder = folder
		self.issues_file = folder / "issues.json"
		self.issues_file.write_text("[]")
		for name in ("bin", "d1", "temp"):
			(folder / name).mkdir()
		for name, text in (("gh", GH), ("npx", NPX)):
			(folder / "bin" / name).write_text(text.format(python=sys.executable))
			(folder / "bin" / name).chmod(0o755)

	def tables(self, **tables: list[dict[str, Any]]) -> None:
		for name, rows in tables.items():
			(self.folder / "d1" / name).write_text(json.dumps([{"results": rows, "success": True}]))

	def step(self, name: str, **environ: str) -> subprocess.CompletedProcess[str]:
		script = self.folder / "step.sh"
		script.write_text(STEPS[name]["run"])
		return subprocess.run(
			["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
			env={
				"PATH": f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
				"RUNNER_TEMP": str(self.folder / "temp"),
				"GITHUB_OUTPUT": str(self.folder / "output"),
				"ISSUES": str(self.issues_file),
				"CALLS": str(self.folder / "calls"),
				"D1": str(self.folder / "d1"),
				"LC_ALL": "C.UTF-8",
				**environ,
			},
			cwd=self.folder,
			capture_output=True,
			text=True,
			timeout=60,
		)

	def run(self, **environ: str) -> str:
		"""Run all the steps, and return the state that was judged."""
		exported = self.step(
			"Export", CLOUDFLARE_API_TOKEN="token", CLOUDFLARE_ACCOUNT_ID="a", D1_DATABASE="metrics-db"
		)
		judged = self.step("Judge", COLUMNS=STEPS["Judge"]["env"]["COLUMNS"])
		assert (exported.returncode, judged.returncode) == (0, 0), exported.stderr + judged.stderr
		state = (self.folder / "output").read_text().splitlines()[-1].removeprefix("state=")
		alerted = self.step("Alert", GH_TOKEN="token", GH_REPO="owner/repository", STATE=state, **environ)
		assert alerted.returncode == (1 if environ else 0), alerted.stderr
		return state

	@property
	def issues(self) -> list[dict[str, Any]]:
		return list(json.loads(self.issues_file.read_text()))

	@property
	def calls(self) -> list[str]:
		path = self.folder / "calls"
		return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
	runner = Runner(tmp_path)
	runner.tables(
		nodes=[node("sg-1")], server_metrics=[metrics("sg-1", 5, 1)], tenants_master=[tenant("sg-1")]
	)
	return runner


def test_a_fleet_that_is_well_changes_nothing(runner: Runner) -> None:
	assert [runner.run(), runner.run()] == ["well", "well"]
	assert (runner.issues, runner.calls) == ([], [])


def test_an_outage_of_many_runs_is_one_issue_that_recovery_closes(runner: Runner) -> None:
	runner.tables(server_metrics=[metrics("sg-1", 999, 1)])
	assert [runner.run() for _ in range(3)] == ["wrong"] * 3
	(issue,) = runner.issues
	assert issue["open"] and "stale" in issue["body"]
	assert runner.calls == ["label create", "issue create", "issue edit", "issue edit"]
	runner.tables(server_metrics=[metrics("sg-1", 5, 1)])
	assert runner.run() == "well"
	assert [issue["open"] for issue in runner.issues] == [False]
	runner.tables(server_metrics=[metrics("sg-1", 5, 9)])
	assert runner.run() == "wrong"
	assert [issue["open"] for issue in runner.issues] == [False, True]
	assert "differs" in runner.issues[1]["body"]


def test_of_10_000_nodes_the_issue_has_its_head_and_those_that_fail(runner: Runner) -> None:
	names = [f"sg-{number:05}" for number in range(10_000)]
	stopped = {"sg-00000", "sg-05000", "sg-09999"}
	pushed = [metrics(name, 5 + 1000 * (name in stopped), 1) for name in names]
	runner.tables(
		nodes=list(map(node, names)), server_metrics=pushed, tenants_master=list(map(tenant, names))
	)
	assert runner.run() == "wrong"
	lines = runner.issues[0]["body"].splitlines()
	assert lines[0] == "Freshness:"
	assert [line.split()[1].strip(":") for line in lines[2:5]] == sorted(stopped)
	assert lines[5] == "    10000 nodes: 9997 fresh, 3 stale"
	assert {line.split()[0] for line in lines[10:13]} == stopped
	assert lines[14:] == ["Counts beside where tenants are placed:", "", "    10000 nodes: 10000 agrees"]


def test_of_10_000_nodes_that_fail_the_issue_has_as_many_as_github_takes(runner: Runner) -> None:
	names = [f"sg-{number:05}-노드" for number in range(10_000)]
	pushed = [metrics(name, 1000 + 700 * at, 2) for at, name in enumerate(names)]
	runner.tables(
		nodes=list(map(node, names)), server_metrics=pushed, tenants_master=list(map(tenant, names))
	)
	assert runner.run() == "wrong"
	body = runner.issues[0]["body"]
	assert 50_000 < len(body.encode()) < 65_536
	lines = body.splitlines()
	at = lines.index("Counts beside where tenants are placed:")
	freshness, counts = lines[2:at], lines[at + 2 :]
	assert freshness[21] == "    10000 nodes: 10000 stale" and counts[0] == "    10000 nodes: 10000 differs"
	for part, shown in ((freshness, 300), (counts, 200)):
		more = [line for line in part if "more lines" in line]
		listed = [line for line in part if line.startswith("    sg-")]
		assert len(listed) > shown and more == [
			f"    and {10_000 - len(listed)} more lines: the log of the run has them"
		]


def test_what_is_doubtful_about_an_export_stands_first(runner: Runner) -> None:
	runner.tables(server_metrics=[metrics("sg-1", 999, 1)], tenants_master=[{"node_id": "sg-1"}])
	assert runner.run() == "wrong"
	assert (
		runner.issues[0]["body"].splitlines()[2].startswith("    Warning: tenants.json has no column status")
	)


@pytest.mark.parametrize("table", ["nodes", "server_metrics", "tenants_master"])
def test_an_export_that_fails_is_told_and_never_taken_for_well(runner: Runner, table: str) -> None:
	(runner.folder / "d1" / table).unlink()
	assert runner.run() == "unknown"
	assert runner.issues[0]["title"] == "The fleet cannot be judged: an export failed"


def test_a_name_of_a_node_is_no_markup_in_the_issue(runner: Runner) -> None:
	runner.tables(nodes=[node("sg-1"), node("x\n```\n@everyone")])
	runner.run()
	marked = [line for line in runner.issues[0]["body"].splitlines() if "@everyone" in line]
	assert marked and all(line.startswith("    ") for line in marked)


def test_the_run_fails_where_nobody_could_be_told(runner: Runner) -> None:
	runner.tables(server_metrics=[])
	runner.run(GH_FAILS="1")
	assert runner.issues == []


def test_permissions_are_the_least_actions_are_pinned_and_secrets_stay_in_one_step() -> None:
	assert CONTENT["permissions"] == {}
	assert JOB["permissions"] == {"contents": "read", "issues": "write"}
	assert CONTENT["concurrency"] == {"group": "fleet-freshness", "cancel-in-progress": False}
	assert set(CONTENT[True]) == {"schedule", "workflow_dispatch"}  # YAML 1.1 reads `on` as true
	used = re.findall(r"uses: (.*)", WORKFLOW.read_text())
	assert used and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)
	with_secret = [step.get("name") for step in JOB["steps"] if "secrets." in json.dumps(step)]
	assert with_secret == ["Export"]
	assert not any("${{" in step["run"] for step in STEPS.values())


WORKFLOWS = sorted(WORKFLOW.parent.glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_pins_its_actions_and_gives_secrets_by_the_environment_alone(workflow: Path) -> None:
	text = workflow.read_text()
	used = re.findall(r"uses: (\S+)", text)
	assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)
	permissions = re.search(r"^permissions:(?: \{\}|\n  contents: read)$", text, re.M)
	assert permissions and "contents: write" not in text
	assert re.findall(r"^.*\$\{\{ secrets\..*$", text, re.M) == re.findall(
		r"^ +[A-Z_]+: \$\{\{ secrets\.[A-Z_]+ \}\}$", text, re.M
	)
