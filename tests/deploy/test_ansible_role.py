"""The Ansible role, converged on this machine in a folder of its own: `make test-ansible`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prego_metrics.sandbox.sample_bench import lay_out_sample_bench

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "deploy/ansible"
BIN = os.environ.get("PREGO_TEST_ANSIBLE", "")
SYSTEM_PYTHON = "/usr/bin/python3"


def _bench_user() -> str:
	"""Return a user other than root, if there is an interpreter that he may run; else root."""
	tried = subprocess.run(
		["setpriv", "--reuid=nobody", "--clear-groups", SYSTEM_PYTHON, "-c", "import ensurepip, venv"],
		capture_output=True,
	)
	return "root" if tried.returncode else "nobody"


BENCH_USER = _bench_user() if BIN and os.geteuid() == 0 else "root"
PYTHON = SYSTEM_PYTHON if BENCH_USER != "root" else os.path.realpath(sys.executable)

pytestmark = [
	pytest.mark.skipif(not BIN, reason="Ansible is not here (PREGO_TEST_ANSIBLE): make test-ansible"),
	pytest.mark.skipif(os.geteuid() != 0, reason="the role writes as root: only root can try it"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
	"""A folder in which root alone writes, as in /etc and /opt; a temporary one is open to everybody."""
	path = Path(tempfile.mkdtemp(prefix="prego-metrics-test-", dir="/var/lib"))
	path.chmod(0o755)
	try:
		yield path
	finally:
		shutil.rmtree(path)


@pytest.fixture
def bench(folder: Path) -> Path:
	"""The sample bench, owned by a user who is not root."""
	bench = lay_out_sample_bench(folder)
	for path in (bench, *(path for path in bench.rglob("*") if not path.is_symlink())):
		shutil.chown(path, BENCH_USER, "nogroup")
	return bench


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
	"""This app as a wheel, built from a copy: a build leaves folders behind."""
	folder = tmp_path_factory.mktemp("wheel")
	copy = folder / "source"
	shutil.copytree(
		ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", "build", "dist", "*.egg-info", ".*_cache")
	)
	subprocess.run(
		[sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, copy],
		check=True,
		capture_output=True,
	)
	return next(folder.glob("*.whl"))


@pytest.fixture
def play(folder: Path, bench: Path, wheel: Path, control_plane) -> Callable[..., tuple[int, str]]:
	"""`play("--check", prego_metrics_…=…)` runs the playbook; returns how many changes, and what it printed."""
	(folder / "cron.d").mkdir()
	(folder / "units").mkdir()
	place = shutil.copy(wheel, folder)
	inventory = folder / "inventory.json"
	inventory.write_text(json.dumps({"prego_nodes": {"hosts": {"node-1": {"ansible_connection": "local"}}}}))
	given = {
		"ansible_python_interpreter": PYTHON,
		"prego_metrics_bench": str(bench),
		"prego_metrics_control_plane_url": control_plane.url,
		"prego_metrics_package": place,
		"prego_metrics_python": PYTHON,
		"prego_metrics_venv": str(folder / "prego_venv"),
		"prego_metrics_key_file": str(folder / "prego_etc/internal_api_key"),
		"prego_metrics_cron_folder": str(folder / "cron.d"),
		"prego_metrics_unit_folder": str(folder / "units"),
		"prego_metrics_trigger": "cron",
		"prego_metrics_enable": False,
		"prego_metrics_settings": {"exclude_sites": ["pool-*"], "push_interval": 120, "allow_empty": False},
	}

	def run(*options: str, expect: int = 0, **variables: object) -> tuple[int, str]:
		result = subprocess.run(
			[
				f"{BIN}/ansible-playbook",
				"--diff",
				"-i",
				str(inventory),
				"-e",
				json.dumps({**given, **variables}),
				*options,
				"playbook.yml",
			],
			cwd=ROLE,
			env={
				**os.environ,
				"INTERNAL_API_KEY": control_plane.key,
				"ANSIBLE_LOCALHOST_WARNING": "0",
				"ANSIBLE_HOME": str(folder / ".." / f"{folder.name}-home"),
				"LC_ALL": "C.UTF-8",
			},
			capture_output=True,
			text=True,
			timeout=300,
		)
		shutil.rmtree(folder.parent / f"{folder.name}-home", ignore_errors=True)
		printed = result.stdout + result.stderr
		assert result.returncode == expect, printed
		assert control_plane.key not in printed
		found = re.search(r"changed=(\d+)", printed)
		assert found, printed
		return int(found[1]), printed

	return run


def listed(folder: Path) -> dict[str, object]:
	"""Every path below a folder, with what is in it; JSON is compared as such."""
	found: dict[str, object] = {}
	for path in sorted(folder.rglob("*")):
		name = str(path.relative_to(folder))
		if path.is_symlink() or path.is_dir():
			found[name] = os.readlink(path) if path.is_symlink() else "folder"
		else:
			content = path.read_bytes()
			found[name] = json.loads(content) if path.name == "common_site_config.json" else content
	return found


def test_the_role_converges_once_then_changes_nothing_and_uninstalls_without_a_trace(
	play, folder: Path, bench: Path, control_plane
) -> None:
	before = listed(folder)
	assert play("--check")[0] > 0
	assert listed(folder) == before and not control_plane.answers

	assert play()[0] > 0
	assert control_plane.store.server_metrics("node-1")["tenant_count"] == 7
	key = folder / "prego_etc/internal_api_key"
	assert key.read_text() == control_plane.key and key.stat().st_mode & 0o777 == 0o640
	settings = json.loads((bench / "sites/common_site_config.json").read_text())["prego_metrics"]
	assert settings["exclude_sites"] == ["pool-*"] and settings["push_interval"] == 120
	line = (folder / "cron.d/prego-metrics").read_text().splitlines()[-1]
	assert line == (
		f"* * * * * {BENCH_USER} {folder}/prego_venv/bin/prego-metrics push --if-due --alerts cron --bench {bench}"
	)

	assert play()[0] == 0
	assert play("--check")[0] == 0
	assert play(prego_metrics_settings={"exclude_sites": []})[0] == 1

	assert play("--check", prego_metrics_state="absent")[0] > 0
	assert key.exists()
	play(prego_metrics_state="absent")
	assert listed(folder) == before
	assert play(prego_metrics_state="absent")[0] == 0


def test_with_systemd_the_units_are_those_that_the_program_renders(play, folder: Path) -> None:
	assert play(prego_metrics_trigger="systemd")[0] > 0
	assert play(prego_metrics_trigger="systemd")[0] == 0
	units = {path.name: path.read_text() for path in (folder / "units").iterdir()}
	assert sorted(units) == [
		"prego-metrics-alerts.service",
		"prego-metrics-change.service",
		"prego-metrics.path",
		"prego-metrics.service",
		"prego-metrics.timer",
	]
	subprocess.run(
		[
			folder / "prego_venv/bin/prego-metrics",
			*("systemd", "--bench", folder / "frappe-bench", "--output", folder / "rendered"),
			*("--key-file", folder / "prego_etc/internal_api_key"),
		],
		check=True,
		capture_output=True,
	)
	assert units == {path.name: path.read_text() for path in (folder / "rendered").iterdir()}


def test_installed_into_the_bench_s_environment_it_leaves_that_too(play, folder: Path, bench: Path) -> None:
	# What else pip takes along, a real bench has already.
	make = (
		f"rm -r {bench}/env && {PYTHON} -m venv {bench}/env && {bench}/env/bin/pip install -q {folder}/*.whl"
	)
	undo = f"{bench}/env/bin/pip uninstall -q -y prego_metrics && chown -R {BENCH_USER} {bench}/env"
	subprocess.run(["sh", "-c", f"{make} && {undo}"], check=True, capture_output=True)
	program = bench / "env/bin/prego-metrics"
	assert play(prego_metrics_install="bench")[0] > 0
	assert program.owner() == BENCH_USER
	assert play(prego_metrics_install="bench")[0] == 0
	play(prego_metrics_install="bench", prego_metrics_state="absent")
	assert not program.exists() and not list(bench.glob("env/lib/*/site-packages/prego_metrics*"))


def test_a_switch_of_the_trigger_removes_what_drove_before_and_then_changes_nothing(
	play, folder: Path
) -> None:
	line, units = folder / "cron.d/prego-metrics", folder / "units"
	assert play(prego_metrics_trigger="systemd")[0] > 0
	assert play("--check", prego_metrics_trigger="cron")[0] > 0 and not line.exists()
	for trigger, left in (
		("cron", (True, 0)),
		("systemd", (False, 5)),
		("none", (False, 0)),
		("cron", (True, 0)),
	):
		assert play(prego_metrics_trigger=trigger)[0] > 0
		assert (line.exists(), len(list(units.iterdir()))) == left
		assert play(prego_metrics_trigger=trigger)[0] == 0


def test_in_the_hardened_mode_the_key_is_roots_and_the_unit_alone_says_where_it_goes(
	play, folder: Path, bench: Path, control_plane
) -> None:
	if subprocess.run(["getent", "passwd", "prego-metrics"], capture_output=True).returncode == 0:
		pytest.skip("there is a user prego-metrics here, which this test would remove")
	of_unit = {
		"alert_url_file": str(folder / "alert_url"),
		"heartbeat_url_file": str(folder / "heartbeat_url"),
		"metrics_textfile": str(folder / "node.prom"),
	}
	hardened = {
		"prego_metrics_trigger": "systemd",
		"prego_metrics_hardened": True,
		"prego_metrics_settings": {"exclude_sites": ["pool-*"], "push_interval": 120, **of_unit},
	}
	before = listed(folder)
	assert play(prego_metrics_trigger="systemd")[0] > 0
	try:
		assert play(**hardened)[0] > 0
		assert play(**hardened)[0] == 0
		key = folder / "prego_etc/internal_api_key"
		assert (key.group(), key.stat().st_mode & 0o777) == ("root", 0o600)
		settings = json.loads((bench / "sites/common_site_config.json").read_text())["prego_metrics"]
		assert settings["scheduler_pushes"] is False and settings["push_interval"] == 120
		assert not {"node_id", "control_plane_url", "api_key_file", *of_unit} & settings.keys()
		service = (folder / "units/prego-metrics.service").read_text()
		assert "User=prego-metrics\n" in service
		assert f'"PREGO_METRICS_CONTROL_PLANE_URL={control_plane.url}"' in service
		for name, path in of_unit.items():
			assert f'"PREGO_METRICS_{name.upper()}={path}"' in service
	finally:
		play(**hardened, prego_metrics_state="absent")
	assert listed(folder) == before
	assert subprocess.run(["getent", "passwd", "prego-metrics"], capture_output=True).returncode


# Does what the role expects of `bench`, with the wheel of the test for a repository: no bench is here.
_STAND_IN = """#!/bin/sh
set -eu
echo "$PWD $*" >> "{folder}/bench.log"
case "$*" in
"get-app "*) mkdir apps/prego_metrics && env/bin/pip install -q "$2" ;;
*list-apps) cat "{folder}/installed" ;;
*" install-app prego_metrics") echo prego_metrics >> "{folder}/installed" ;;
*" uninstall-app prego_metrics --yes --no-backup") : > "{folder}/installed" ;;
"remove-app prego_metrics") rm -r apps/prego_metrics && env/bin/pip uninstall -q -y prego_metrics ;;
*) exit 64 ;;
esac
"""


def test_a_switch_to_the_app_leaves_neither_timer_nor_environment(play, folder: Path, bench: Path) -> None:
	shutil.rmtree(bench / "env")
	subprocess.run([PYTHON, "-m", "venv", bench / "env"], check=True)
	installed, log, command = folder / "installed", folder / "bench.log", folder / "a bench"
	command.write_text(_STAND_IN.format(folder=folder))
	command.chmod(0o755)
	for path in (installed, log):
		path.touch()
	for path in (installed, log, *(bench / "env").rglob("*"), bench / "env", bench / "apps"):
		shutil.chown(path, BENCH_USER, "nogroup") if not path.is_symlink() else None
	app = {
		"prego_metrics_install": "app",
		"prego_metrics_app_source": str(next(folder.glob("*.whl"))),
		"prego_metrics_site": "ops.example",
		"prego_metrics_bench_command": str(command),
		"prego_metrics_trigger": "none",
	}
	assert play(prego_metrics_trigger="systemd")[0] > 0
	assert play(**app)[0] > 0
	assert not list((folder / "units").iterdir()) and not (folder / "prego_venv").exists()
	assert [line.removeprefix(f"{bench} ") for line in log.read_text().splitlines()] == [
		f"get-app {app['prego_metrics_app_source']}",
		"--site ops.example list-apps",
		"--site ops.example install-app prego_metrics",
	]
	settings = json.loads((bench / "sites/common_site_config.json").read_text())["prego_metrics"]
	assert settings["site"] == "ops.example"
	assert play(**app)[0] == 0
	play(**app, prego_metrics_state="absent")
	assert installed.read_text() == "" and not (bench / "env/bin/prego-metrics").exists()


@pytest.mark.parametrize(
	("variables", "words"),
	[
		({"prego_metrics_bench": "/nowhere"}, "/nowhere/sites is no folder"),
		({"prego_metrics_control_plane_url": ""}, "Set prego_metrics_control_plane_url"),
		({"prego_metrics_api_key": ""}, "There is no key"),
		({"prego_metrics_install": "everywhere"}, "everywhere"),
		({"prego_metrics_hardened": True}, "prego_metrics_hardened needs"),
		(
			{"prego_metrics_control_plane_url": "http://control-plane.example"},
			"must be the control plane's base URL",
		),
	],
	ids=["no bench", "no URL", "no key", "unknown choice", "hardened by cron", "a URL that the app refuses"],
)
def test_what_is_missing_or_wrong_is_said_before_a_push(variables, words: str, play, control_plane) -> None:
	_, printed = play(expect=2, **variables)
	assert words in printed and not control_plane.answers


def test_the_role_passes_ansible_lint_at_its_production_profile() -> None:
	result = subprocess.run(
		[f"{BIN}/ansible-lint", "--offline", "--nocolor"],
		cwd=ROLE,
		env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
		capture_output=True,
		text=True,
		timeout=300,
	)
	assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
	("variable", "path"),
	[("key_file", "shared/internal_api_key"), ("venv", "shared"), ("venv", "shared/env")],
)
def test_a_folder_that_others_may_use_is_neither_closed_to_them_nor_removed(
	play, folder: Path, state: str, variable: str, path: str
) -> None:
	(folder / "shared").mkdir()
	(folder / "shared" / "passwd").write_text("of somebody")
	before = listed(folder)
	given = {f"prego_metrics_{variable}": str(folder / path), "prego_metrics_state": state}
	_, printed = play(expect=2, **given)
	assert '\\"prego\\" in its name' in printed or '"prego" in its name' in printed
	assert listed(folder) == before


def test_no_password_of_the_bench_is_printed_when_the_settings_are_removed(play, bench: Path) -> None:
	common = bench / "sites/common_site_config.json"
	content = {**json.loads(common.read_text()), "root_password": "hunter2-of-the-server"}
	common.write_text(json.dumps(content))
	assert "hunter2" not in play("-v", prego_metrics_verify_push=False)[1]
	assert "hunter2" not in play("-v", prego_metrics_state="absent")[1]
	assert json.loads(common.read_text())["root_password"] == "hunter2-of-the-server"
