"""Root gives itself up for the bench's owner before it reads or writes anything of the bench."""

from __future__ import annotations

import ast
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from watched_control_plane import WatchedControlPlane

import prego_metrics
from prego_metrics.agent.bench import privileges
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.bench.privileges import drop_privileges
from prego_metrics.agent.push.push import preload

OWNER = 65534
STRANGER = 54321

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

Run = Callable[..., Any]


def give(path: Path, uid: int, gid: int | None = None) -> None:
	for found in (path, *path.rglob("*")):
		os.chown(found, uid, uid if gid is None else gid, follow_symlinks=False)


@pytest.fixture
def owned_bench(
	shared_folder: Path,
	make_bench: Callable[..., Path],
	settings: Callable[..., Path],
	control_plane: WatchedControlPlane,
) -> Path:
	"""A bench of nobody's that would push to the local control plane."""
	bench_folder = make_bench(shared_folder / "bench", "a.example", "b.example")
	settings(bench_folder, node_id="node-1", control_plane_url=control_plane.url)
	give(bench_folder, OWNER)
	return bench_folder


def push_as_root(run_agent: Run, bench_folder: Path, *options: str, **environ: str) -> Any:
	return run_agent("push", *options, "--bench", bench_folder, uid=0, **environ)


def state_folder(bench_folder: Path) -> Path:
	return bench_folder / "sites" / ".prego-metrics"


# Who root becomes


def ids_after(sites_owner: int, bench_folder: Path, as_user: Run) -> dict[str, Any]:
	os.chown(bench_folder / "sites", sites_owner, 4321)

	def become() -> dict[str, Any]:
		drop_privileges(open_bench(str(bench_folder)), preload)
		try:
			os.setresuid(0, 0, 0)
		except PermissionError:
			back = False
		else:
			back = True
		return {
			"uids": os.getresuid(),
			"gids": os.getresgid(),
			"groups": os.getgroups(),
			"back": back,
			"names": [os.environ.get(name) for name in ("USER", "LOGNAME", "HOME")],
		}

	return as_user(0, become, groups=[0, 4, 27])


def test_root_becomes_the_owner_with_the_owners_groups_and_no_way_back(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Run
) -> None:
	after = ids_after(OWNER, make_bench(shared_folder / "bench"), as_user)
	assert after == {
		"uids": [OWNER] * 3,
		"gids": [65534] * 3,
		"groups": [65534],
		"back": False,
		"names": ["nobody", "nobody", "/nonexistent"],
	}


def test_an_owner_without_a_name_is_one_too(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Run
) -> None:
	after = ids_after(STRANGER, make_bench(shared_folder / "bench"), as_user)
	assert after == {
		"uids": [STRANGER] * 3,
		"gids": [4321] * 3,
		"groups": [4321],
		"back": False,
		"names": ["54321", "54321", "/"],
	}


def test_a_bench_of_roots_leaves_root_as_it_is(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Run
) -> None:
	after = ids_after(0, make_bench(shared_folder / "bench"), as_user)
	assert (after["uids"], after["groups"]) == ([0, 0, 0], [0, 4, 27])


def test_anybody_else_stays_who_they_are(
	shared_folder: Path, make_bench: Callable[..., Path], as_user: Run
) -> None:
	bench_folder = make_bench(shared_folder / "bench")

	def become() -> list[int]:
		drop_privileges(open_bench(str(bench_folder)), preload)
		return list(os.getresuid())

	assert as_user(STRANGER, become) == [STRANGER] * 3
	give(bench_folder, OWNER)
	assert as_user(STRANGER, become) == [STRANGER] * 3


# A push by root


@pytest.mark.parametrize("options", [(), ("--if-due",)])
def test_a_push_by_root_writes_files_of_the_owner_alone(
	owned_bench: Path, run_agent: Run, control_plane: WatchedControlPlane, options: tuple[str, ...]
) -> None:
	done = push_as_root(
		run_agent, owned_bench, *options, INTERNAL_API_KEY=control_plane.key, PREGO_METRICS_SPREAD="0"
	)
	assert (done.returncode, done.stderr) == (0, "")
	assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	written = list(state_folder(owned_bench).rglob("*"))
	assert {path.name for path in written} >= {"state.json", "history.jsonl"}
	for path in (state_folder(owned_bench), *written):
		assert (path.stat().st_uid, path.stat().st_gid) == (OWNER, 65534), path
		assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
	again = run_agent("push", "--bench", owned_bench, uid=OWNER, INTERNAL_API_KEY=control_plane.key)
	assert (again.returncode, again.stderr) == (0, "")


def test_a_link_planted_as_the_state_folder_is_not_followed(
	owned_bench: Path, shared_folder: Path, run_agent: Run, control_plane: WatchedControlPlane
) -> None:
	target = shared_folder / "of-root"
	target.mkdir(mode=0o777)
	target.chmod(0o777)
	state_folder(owned_bench).symlink_to(target)
	done = push_as_root(run_agent, owned_bench, INTERNAL_API_KEY=control_plane.key)
	# Delivered, and not recorded.
	assert done.returncode == 1
	assert "POST /internal/server-metrics 200" in control_plane.answers
	assert "Traceback" not in done.stderr
	assert ".prego-metrics" in done.stderr
	assert list(target.iterdir()) == []


def test_links_planted_as_files_of_the_state_are_not_followed(
	owned_bench: Path, shared_folder: Path, run_agent: Run, control_plane: WatchedControlPlane
) -> None:
	target = shared_folder / "of-somebody"
	target.write_text("precious")
	target.chmod(0o666)
	state_folder(owned_bench).mkdir(mode=0o700)
	for name in ("state.json", "history.jsonl", "tick-cron.json", ".state.json.tmp", "state.json.set-aside"):
		(state_folder(owned_bench) / name).symlink_to(target)
	give(state_folder(owned_bench), OWNER)
	environ = {"INTERNAL_API_KEY": control_plane.key, "PREGO_METRICS_SPREAD": "0"}
	for options in ((), ("--if-due",)):
		done = push_as_root(run_agent, owned_bench, *options, **environ)
		assert "Traceback" not in done.stderr
		assert target.read_text() == "precious"
	assert "POST /internal/server-metrics 200" in control_plane.answers


def test_a_file_that_only_root_can_read_is_not_read_and_sent_for_the_bench(
	owned_bench: Path, shared_folder: Path, run_agent: Run, settings: Run, control_plane: WatchedControlPlane
) -> None:
	secret = shared_folder / "secret-of-root"
	secret.write_text("the-root-secret")
	secret.chmod(0o600)
	path = settings(
		owned_bench, node_id="node-1", control_plane_url=control_plane.url, api_key_file=str(secret)
	)
	os.chown(path, OWNER, OWNER)
	done = push_as_root(run_agent, owned_bench)
	assert done.returncode == 2
	assert done.stderr == f"Not sent: api_key_file: {secret} cannot be read by nobody (Permission denied)\n"
	assert control_plane.answers == []


def test_a_link_to_a_file_of_roots_is_no_common_configuration(
	owned_bench: Path, shared_folder: Path, run_agent: Run, control_plane: WatchedControlPlane
) -> None:
	secret = shared_folder / "secret.json"
	secret.write_text(json.dumps({"password": "the-root-secret"}))
	secret.chmod(0o600)
	path = owned_bench / "sites" / "common_site_config.json"
	path.unlink()
	path.symlink_to(secret)
	done = push_as_root(run_agent, owned_bench, INTERNAL_API_KEY=control_plane.key)
	assert done.returncode == 2
	assert "Permission denied" in done.stderr
	assert "the-root-secret" not in done.stderr + done.stdout
	assert control_plane.answers == []


@pytest.mark.parametrize(
	"command",
	[
		("tenants",),
		("status",),
		("push", "--dry-run"),
		("doctor", "--offline"),
		("configure", "--timeout", "5"),
	],
)
def test_no_command_of_roots_leaves_a_file_of_roots(
	owned_bench: Path, run_agent: Run, command: tuple[str, ...]
) -> None:
	done = run_agent(*command, "--bench", owned_bench, uid=0, INTERNAL_API_KEY="k")
	assert "Traceback" not in done.stderr
	assert {path.lstat().st_uid for path in owned_bench.rglob("*")} == {OWNER}


def test_the_owner_that_root_became_cannot_look_into_another_bench_of_roots(
	owned_bench: Path,
	shared_folder: Path,
	make_bench: Callable[..., Path],
	settings: Run,
	run_agent: Run,
	control_plane: WatchedControlPlane,
) -> None:
	other = make_bench(shared_folder / "other", "c.example")
	(other / "sites").chmod(0o700)
	settings(
		owned_bench, node_id="node-1", control_plane_url=control_plane.url, benches=["../bench", "../other"]
	)
	done = push_as_root(run_agent, owned_bench, INTERNAL_API_KEY=control_plane.key)
	assert done.returncode == 2
	assert done.stderr == f"Not sent: the bench {other} cannot be read: Permission denied\n"
	assert control_plane.answers == []


# An interpreter of root's that lies where nobody else can read it: what is not imported by then is not there.
UNREADABLE = """
import os, sys
class Unreadable:
	def find_spec(self, name, path=None, target=None):
		raise ModuleNotFoundError(f"No module named {name!r}")
genuine = os.setresuid
def become(*ids):
	genuine(*ids)
	sys.meta_path.insert(0, Unreadable())
os.setresuid = become
from prego_metrics.cli.__main__ import main
main()
"""


@pytest.mark.parametrize(
	"command",
	[
		("tenants",),
		("tenants", "--sizes", "--database"),
		("tenants", "--database", "--csv"),
		("tenants", "--scan"),
		("doctor", "--offline"),
		("status",),
		("push",),
	],
)
def test_root_has_imported_all_that_a_command_needs_before_it_is_the_owner(
	owned_bench: Path, make_site: Callable[..., Path], command: tuple[str, ...]
) -> None:
	for name in ("한국.example", "c.example", "d.example"):
		make_site(owned_bench, name, db_name="_x", db_password="x", db_port=1)
	give(owned_bench, OWNER)
	result = subprocess.run(
		[sys.executable, "-c", UNREADABLE, *command, "--bench", str(owned_bench)],
		capture_output=True,
		text=True,
		env={**os.environ, "PYTHONUTF8": "1", "INTERNAL_API_KEY": "k"},
		check=False,
	)
	assert "Traceback" not in result.stderr and "No module" not in result.stdout + result.stderr
	assert "Error)" not in result.stdout  # a database that could not be asked for an error of Python's
	assert result.stdout or result.stderr


@pytest.mark.parametrize("options", [(), ("--if-due",), ("--if-due", "--alerts", "cron")])
def test_root_has_imported_what_writes_the_metrics_file_after_a_push(
	owned_bench: Path, shared_folder: Path, settings: Run, options: tuple[str, ...]
) -> None:
	file = shared_folder / "metrics" / "node.prom"
	file.parent.mkdir()
	settings(
		owned_bench, node_id="node-1", control_plane_url="http://127.0.0.1:1", metrics_textfile=str(file)
	)
	give(owned_bench, OWNER)
	give(file.parent, OWNER)
	result = subprocess.run(
		[sys.executable, "-c", UNREADABLE, "push", *options, "--bench", str(owned_bench)],
		capture_output=True,
		text=True,
		env={**os.environ, "INTERNAL_API_KEY": "k"},
		check=False,
	)
	assert "Traceback" not in result.stderr
	assert "prego_push_consecutive_failures 1.0" in file.read_text()


def test_whatever_the_agent_imports_late_was_imported_as_root() -> None:
	package = Path(prego_metrics.__file__).parent / "agent"
	late = {
		name
		for path in package.rglob("*.py")
		for function in ast.walk(ast.parse(path.read_text()))
		if isinstance(function, ast.FunctionDef)
		for node in ast.walk(function)
		for name in (
			[alias.name for alias in node.names]
			if isinstance(node, ast.Import)
			else [node.module or ""]
			if isinstance(node, ast.ImportFrom)
			else []
		)
		if not name.startswith("prego_metrics")
	}
	# The command that reads the queues imports it itself, before it gives up root.
	of_metrics = {"redis", "redis.backoff", "redis.retry"}
	assert late and late - set(privileges._LIBRARIES) == of_metrics


def test_a_misspelt_setting_is_an_error_and_no_traceback_for_root_too(owned_bench: Path) -> None:
	give(owned_bench, OWNER)
	result = subprocess.run(
		[sys.executable, "-c", UNREADABLE, "push", "--json", "--bench", str(owned_bench)],
		capture_output=True,
		text=True,
		env={**os.environ, "INTERNAL_API_KEY": "k", "PREGO_METRICS_TIMOUT": "3"},
		check=False,
	)
	assert "Traceback" not in result.stderr
	assert json.loads(result.stdout)["error_code"] in ("setting_unknown", "settings_invalid")


def test_root_imports_nothing_for_a_bench_of_its_own(bench_folder: Path) -> None:
	preloaded: list[bool] = []
	drop_privileges(open_bench(str(bench_folder)), lambda: preloaded.append(True))
	assert (preloaded, os.geteuid()) == ([], 0)
