"""The repository as the ecosystem expects it, and documents that keep up with the code."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import json
import re
import subprocess
from pathlib import Path

import click
import pytest

from prego_metrics import __version__, hooks
from prego_metrics.cli.app import cli
from prego_metrics.desk.adapters import jobs

ROOT = Path(__file__).parents[2]
CORE = ("agent", "cli", "doctor", "exporters", "fleet", "sandbox", "tenants")
DOCUMENTS = sorted(
	[
		*ROOT.glob("*.md"),
		*ROOT.glob("docs/**/*.md"),
		*ROOT.glob("benchmarks/*.md"),
		*ROOT.glob("deploy/**/*.md"),
	]
)


def public_names(module) -> dict[str, object]:
	return {name: value for name, value in vars(module).items() if not name.startswith("_")}


@pytest.mark.parametrize("name", ["hooks.py", "modules.txt", "patches.txt"])
def test_bench_recognises_the_app_by_its_files(name: str) -> None:
	assert (ROOT / "prego_metrics" / name).is_file()


def test_modules_and_folders_stay_small() -> None:
	modules = [path for path in (ROOT / "prego_metrics").rglob("*.py") if path.name != "__init__.py"]
	assert [str(path) for path in modules if len(path.read_text().splitlines()) > 300] == []
	folders = [path.parent for path in modules]
	assert {str(folder) for folder in folders if folders.count(folder) > 13} == set()
	top = [path.stem for path in modules if path.parent == ROOT / "prego_metrics"]
	assert sorted(top) == ["api", "commands", "hooks", "prego_push"]


def test_the_root_hooks_are_those_that_frappe_reads() -> None:
	spec = importlib.util.spec_from_file_location("root_hooks", ROOT / "hooks.py")
	assert spec and spec.loader
	root_hooks = importlib.util.module_from_spec(spec)
	spec.loader.exec_module(root_hooks)
	assert public_names(root_hooks) == public_names(hooks)


def test_hooks_are_literals_since_frappe_pickles_each_public_name() -> None:
	for statement in ast.parse((ROOT / "prego_metrics/hooks.py").read_text()).body[1:]:
		assert isinstance(statement, ast.Assign)
		ast.literal_eval(statement.value)


def test_every_hook_names_a_function_that_is_there() -> None:
	methods = [value for value in public_names(hooks).values() if str(value).startswith("prego_metrics.")]
	methods += [method for jobs in hooks.scheduler_events["cron"].values() for method in jobs]
	assert len(methods) == 8
	for method in methods:
		module, name = method.rsplit(".", 1)
		source = ROOT / (module.replace(".", "/") + ".py")
		functions = [
			node.name for node in ast.parse(source.read_text()).body if isinstance(node, ast.FunctionDef)
		]
		assert name in functions


def test_the_jobs_that_uninstalling_deletes_are_those_of_the_hooks() -> None:
	scheduled = {job for jobs in hooks.scheduler_events["cron"].values() for job in jobs}
	assert {jobs.PUSH_JOB, jobs.SCAN_JOB} == scheduled | set(hooks.scheduler_events["hourly_long"])


def test_the_metadata_names_the_app_as_its_package_and_never_asks_for_frappe() -> None:
	pyproject = (ROOT / "pyproject.toml").read_text()
	required = importlib.metadata.requires("prego_metrics") or []
	assert 'name = "prego_metrics"' in pyproject
	assert required and not any(entry.startswith("frappe") for entry in required)
	assert '[tool.bench.frappe-dependencies]\nfrappe = ">=15.0.0,<18.0.0-dev"' in pyproject
	assert re.search(
		rf'^__version__ = "{__version__}"$', (ROOT / "prego_metrics/__init__.py").read_text(), re.M
	)


def test_uninstall_knows_every_record_of_the_module_by_name() -> None:
	source = (ROOT / "prego_metrics/desk/lifecycle/uninstall.py").read_text()
	(known,) = (
		ast.literal_eval(statement.value)
		for statement in ast.parse(source).body
		if isinstance(statement, ast.AnnAssign)
		and ast.unparse(statement.target) == "RECORDS"
		and statement.value
	)
	shipped: dict[str, set[str]] = {}
	for path in (ROOT / "prego_metrics/node_metrics").glob("*/*/*.json"):
		document = json.loads(path.read_text())
		shipped.setdefault(document["doctype"], set()).add(document["name"])
	# A source is part of its chart, and nothing else refers to it.
	del shipped["Dashboard Chart Source"]
	assert {doctype: set(names) for doctype, names in known.items()} == shipped


def test_the_sidebar_of_frappe_17_has_the_workspaces_entries_each_with_an_icon_of_its_own() -> None:
	package = ROOT / "prego_metrics"
	sidebar = json.loads((package / "workspace_sidebar/prego_metrics.json").read_text())
	workspace = json.loads((package / "node_metrics/workspace/prego_metrics/prego_metrics.json").read_text())
	home, *entries = [(item["label"], item["link_type"], item["link_to"]) for item in sidebar["items"]]
	# By this name and app Frappe's uninstall and its search for orphans find it.
	assert (sidebar["name"], sidebar["app"], sidebar["standard"]) == (workspace["name"], "prego_metrics", 1)
	assert home[1:] == ("Workspace", workspace["name"])
	assert entries == [(entry["label"], entry["type"], entry["link_to"]) for entry in workspace["shortcuts"]]
	assert len({item["icon"] for item in sidebar["items"]}) == len(sidebar["items"])


def test_no_symlink_is_tracked_and_tests_are_no_package() -> None:
	listed = subprocess.run(["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
	assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]
	assert not (ROOT / "tests/__init__.py").exists()


@functools.cache
def app_sources() -> dict[Path, ast.Module]:
	"""Every module of the package but its tests, parsed."""
	return {
		path: ast.parse(path.read_text())
		for path in sorted(ROOT.glob("prego_metrics/**/*.py"))
		if not path.name.startswith("test_")
	}


def calls(tree: ast.AST) -> list[tuple[ast.Call, str]]:
	"""Every call below `tree`, with the dotted name of what is called."""
	return [(node, ast.unparse(node.func)) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_call_is_made_at_the_top_level_of_an_init() -> None:
	for path, tree in app_sources().items():
		if path.name == "__init__.py":
			assert not calls(tree), path


def test_no_module_keeps_what_belongs_to_one_site() -> None:
	for path, tree in app_sources().items():
		for statement in tree.body:
			if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
				assert not re.search(
					r"\bfrappe\.(conf|local|db|cache|session)\b", ast.unparse(statement.value)
				), path


def test_each_commit_says_why_beside_it() -> None:
	for path, tree in app_sources().items():
		lines = path.read_text().splitlines()
		for call, name in calls(tree):
			if name.endswith("db.commit"):
				beside = lines[call.lineno - 1].partition("#")[2].replace("nosemgrep", "").strip()
				above = lines[call.lineno - 2].strip()
				assert beside or above.startswith("# "), f"{path}:{call.lineno}"


def test_no_sql_is_written_as_text_on_a_sites_database() -> None:
	for path, tree in app_sources().items():
		for call, name in calls(tree):
			assert not re.search(r"\bdb\.(sql|multisql|sql_ddl)$", name), f"{path}:{call.lineno}"


def test_comprehensions_stand_where_frappes_rules_refuse_map_and_filter() -> None:
	"""semgrep's frappe-no-functional-code; linters.yml runs all of Frappe's rules."""
	for path, tree in app_sources().items():
		assert [call.lineno for call, name in calls(tree) if name in ("map", "filter")] == [], path


def test_nothing_starts_a_process_or_evaluates_text() -> None:
	forbidden = re.compile(
		r"^(eval|exec|compile|__import__|os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*)|subprocess\b.*)$"
	)
	for path, tree in app_sources().items():
		for call, name in calls(tree):
			assert not forbidden.match(name), f"{path}:{call.lineno}"
		for node in ast.walk(tree):
			if isinstance(node, ast.Import | ast.ImportFrom):
				assert "subprocess" not in ast.unparse(node), f"{path}:{node.lineno}"


def test_the_core_imports_no_frappe() -> None:
	for source in [path for name in CORE for path in ROOT.glob(f"prego_metrics/{name}/**/*.py")]:
		for node in ast.walk(ast.parse(source.read_text())):
			names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
			names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
			assert not any(name.split(".")[0] == "frappe" for name in names), source


@pytest.mark.parametrize("name", cli.list_commands(click.Context(cli)))
def test_every_command_is_in_the_documents(name: str) -> None:
	assert any(re.search(rf"(prego-metrics|make) {name}\b", path.read_text()) for path in DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
	for target in re.findall(r"\]\(([^)#]+)", document.read_text()):
		if "://" not in target:
			assert (document.parent / target).exists(), target


# A name of ours that `pip` would look up in a public index, with or without extras; a path or a URL is none.
OUR_NAME = re.compile(r"""pip3?\s+install(?:\s+-\S+)*\s+['"]?prego[_-]metrics(?![\w…./-]*\.whl)(?!\s*@)""")


@pytest.mark.parametrize(
	("line", "suggests"),
	[
		("pip install prego_metrics", True),
		("pip install --upgrade 'prego-metrics[hetzner]'", True),
		("pip install prego_metrics==0.1.0", True),
		("pip install prego_metrics-….whl", False),
		("pip install ./prego_metrics-0.1.0-py3-none-any.whl", False),
		("pip install /srv/prego_metrics", False),
	],
)
def test_what_suggests_a_package_of_ours_is_recognised(line: str, suggests: bool) -> None:
	assert bool(OUR_NAME.search(line)) == suggests


def test_nothing_suggests_a_package_of_ours_from_a_public_index() -> None:
	listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
	names = [name for name in listed.splitlines() if not name.startswith("tests/")]
	texts = {name: (ROOT / name).read_text(errors="replace") for name in names if (ROOT / name).is_file()}
	assert [name for name, text in texts.items() if OUR_NAME.search(text) or "prego_metrics[" in text] == []


def test_the_ansible_role_installs_no_package_that_nobody_named() -> None:
	role = ROOT / "deploy/ansible/roles/prego_metrics"
	assert 'prego_metrics_package: ""\n' in (role / "defaults/main.yml").read_text()
	allowed = re.search(
		r"prego_metrics_package is match\('(.+)'\)", (role / "tasks/preflight.yml").read_text()
	)
	assert allowed
	for package in (
		"/w/prego_metrics-0.1.0-py3-none-any.whl",
		"https://h/x.whl",
		"git+https://h/prego_metrics",
	):
		assert re.match(allowed[1], package)
	for package in (
		"",
		"prego_metrics",
		"prego_metrics==0.1.0",
		"prego_metrics[hetzner]",
		"http://h/x.whl",
		"/",
	):
		assert not re.match(allowed[1], package)
