"""Where there is no count or no valid setting, nothing is sent: one clear error, exit 2, not a single POST."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from broken_nodes import (
	SITUATIONS,
	WARNED,
	Node,
	Spoil,
)
from watched_control_plane import KEY, WatchedControlPlane

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config

Run = Callable[..., Any]


@pytest.fixture
def node(bench_folder: Path, control_plane: WatchedControlPlane) -> Node:
	return Node(bench_folder, {"node_id": "node-1", "control_plane_url": control_plane.url})


def test_the_node_of_these_tests_pushes_when_nothing_is_wrong(
	node: Node, control_plane: WatchedControlPlane, run_agent: Run
) -> None:
	node.write()
	done = run_agent("push", "--bench", node.bench, **node.environ)
	assert (done.returncode, done.stderr) == (0, "")
	assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	row = control_plane.store.server_metrics("node-1")
	assert row is not None and row["tenant_count"] == 3


@pytest.mark.parametrize(
	("spoil", "code", "names"),
	[pytest.param(spoil, code, names, id=name) for name, spoil, code, names in SITUATIONS],
)
def test_nothing_is_sent(
	node: Node,
	control_plane: WatchedControlPlane,
	run_agent: Run,
	spoil: Spoil,
	code: str,
	names: tuple[str, ...],
) -> None:
	spoil(node)
	node.write()
	done = run_agent("push", "--json", "--bench", node.named or node.bench, **node.environ)
	assert control_plane.answers == []
	assert done.returncode == 2
	assert "Traceback" not in done.stderr
	assert KEY not in done.stdout + done.stderr
	result = json.loads(done.stdout)
	assert (result["outcome"], result["payload"], result["error_code"]) == ("not_sent", None, code)
	assert [name for name in names if name not in result["error"]] == []
	assert "".join(result["error"].splitlines()).isprintable()


@pytest.mark.parametrize(
	("spoil", "code", "names"),
	[pytest.param(spoil, code, names, id=name) for name, spoil, code, names in WARNED],
)
def test_what_a_push_can_do_without_is_warned_of(
	node: Node,
	control_plane: WatchedControlPlane,
	run_agent: Run,
	spoil: Spoil,
	code: str,
	names: tuple[str, ...],
) -> None:
	spoil(node)
	node.write()
	done = run_agent("push", "--bench", node.bench, **node.environ)
	assert done.returncode == 0
	assert control_plane.pushes == ["POST /internal/server-metrics 200"]
	assert [name for name in names if name not in done.stderr] == []
	config = load_config(open_bench(str(node.bench)), node.environ)
	assert [sentence.code for sentence in (*(p.message for p in config.problems), *config.warnings)] == [code]
	done = run_agent("doctor", "--only", "configuration", "--json", "--bench", node.bench, **node.environ)
	assert json.loads(done.stdout)["checks"][0]["state"] == "warn"


def test_on_a_terminal_it_is_one_error(node: Node, run_agent: Run) -> None:
	node.section.clear()
	node.write()
	done = run_agent("push", "--bench", node.bench, **node.environ)
	assert (done.returncode, done.stdout) == (2, "")
	first, *others = done.stderr.splitlines()
	assert first.startswith("Not sent: ")
	assert len(others) == 1 and not others[0].startswith("Not sent: ")


def test_there_are_at_least_25_situations() -> None:
	assert len({name for name, *_ in SITUATIONS}) >= 25


@pytest.mark.parametrize("name", ["no site at all", "benches match nothing", "a half-written configuration"])
def test_a_tick_sends_nothing_either_and_does_not_count_as_an_attempt(
	node: Node, control_plane: WatchedControlPlane, run_agent: Run, name: str
) -> None:
	(spoil,) = [spoil for situation, spoil, *_ in SITUATIONS if situation == name]
	spoil(node)
	node.write()
	for _ in range(2):
		done = run_agent("push", "--if-due", "--bench", node.bench, PREGO_METRICS_SPREAD="0", **node.environ)
		assert (done.returncode, done.stdout) == (2, "")
		assert done.stderr.startswith("Not sent: ")
	assert control_plane.answers == []


@pytest.mark.parametrize(
	"name",
	[
		"no site at all",
		"one of two benches is not there",
		"benches is empty",
		"a configuration that is no object",
	],
)
def test_tenants_says_null_and_not_a_smaller_number(
	node: Node, control_plane: WatchedControlPlane, run_agent: Run, name: str
) -> None:
	(spoil,) = [spoil for situation, spoil, *_ in SITUATIONS if situation == name]
	spoil(node)
	node.write()
	done = run_agent("tenants", "--json", "--bench", node.bench)
	assert done.returncode == 2
	assert json.loads(done.stdout)["tenant_count"] is None
	assert done.stderr.startswith("Error: ")


def test_another_users_bench_that_cannot_be_read_sends_nothing(
	shared_folder: Path,
	make_bench: Callable[..., Path],
	settings: Callable[..., Path],
	control_plane: WatchedControlPlane,
	run_agent: Run,
	as_user: Run,
) -> None:
	bench_folder = make_bench(shared_folder / "bench", "a.example", "b.example")
	make_bench(shared_folder / "second", "c.example")
	section = {"node_id": "node-1", "control_plane_url": control_plane.url}
	environ = {"INTERNAL_API_KEY": KEY}
	nobody = 65534

	(bench_folder / "sites").chmod(0o711)
	settings(bench_folder, **section)
	done = run_agent("push", "--bench", bench_folder, uid=nobody, **environ)
	assert (done.returncode, "Permission denied" in done.stderr) == (2, True)
	(bench_folder / "sites").chmod(0o755)

	settings(bench_folder, **section, benches=["../*"])
	(shared_folder / "second" / "sites").chmod(0o700)
	done = run_agent("push", "--bench", bench_folder, uid=nobody, **environ)
	assert done.returncode == 2
	assert f"the bench {shared_folder}/second cannot be read: Permission denied" in done.stderr
	assert control_plane.answers == []
