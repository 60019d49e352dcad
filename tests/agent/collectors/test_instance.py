"""A server that was cloned from a snapshot is named before it pushes as its original."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_server import HostileServer, answer
from pushing import aim, push_now, scheduled, state_of

from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.collectors import instance
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.push.push import dry_run
from prego_metrics.agent.setup import onboarding
from prego_metrics.agent.setup.onboarding import Onboarding
from prego_metrics.doctor.runner import examine


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
	"""No file of this machine says who it is, and nobody else may be asked."""
	monkeypatch.setattr(instance, "INSTANCE_FILES", (str(tmp_path / "run-id"), str(tmp_path / "var-id")))
	monkeypatch.setattr(instance, "VENDOR_FILE", str(tmp_path / "vendor"))
	monkeypatch.setattr(instance, "METADATA_URL", "http://127.0.0.1:9")


def say(tmp_path: Path, instance_id: str, name: str = "run-id") -> None:
	(tmp_path / name).write_text(instance_id + "\n")


@pytest.fixture
def hetzner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HostileServer]]:
	"""`hetzner(*answers)` makes this machine one of Hetzner's, with a metadata service that answers so."""
	(tmp_path / "vendor").write_text("Hetzner\n")
	servers = []

	def serve(*bodies: bytes) -> HostileServer:
		server = HostileServer(*(answer(200, body) for body in bodies))
		server.__enter__()
		servers.append(server)
		monkeypatch.setattr(instance, "METADATA_URL", server.url)
		return server

	yield serve
	for server in servers:
		server.__exit__(None, None, None)


@pytest.fixture
def bench(bench_folder: Path, control_plane: Any) -> Path:
	return aim(bench_folder, control_plane.url, instance_id="111")


def checked(bench: Path, *, online: bool = False) -> tuple[str, str, str]:
	(check,) = examine(open_bench(str(bench)), {}, online=online, only=["instance"])
	return check.state, check.seen, check.action


def test_a_boot_without_metadata_stops_no_healthy_node(
	bench: Path, control_plane: Any, tmp_path: Path
) -> None:
	say(tmp_path, "iid-datasource-none")
	assert push_now(bench, INTERNAL_API_KEY=control_plane.key).outcome == "delivered"
	assert instance.instance_on_disk() is None


def test_a_clone_sends_nothing_and_says_what_to_do(bench: Path, control_plane: Any, tmp_path: Path) -> None:
	say(tmp_path, "222")
	result = push_now(bench, INTERNAL_API_KEY=control_plane.key)
	assert (result.outcome, result.exit_code) == ("not_sent", 2)
	assert result.error.code == "other_instance"
	assert result.error.params == {"found": "222", "recorded": "111", "node": "node-1"}
	assert "--node-id NODE" in result.error and "--instance-id 222" in result.error
	assert control_plane.answers == []
	assert state_of(bench).last_attempt_at is None
	assert push_now(bench, scheduled(), INTERNAL_API_KEY=control_plane.key).outcome == "not_sent"
	assert dry_run(open_bench(str(bench)), {}).outcome == "not_sent"
	assert checked(bench)[0] == "fail"


@pytest.mark.parametrize("name", ["run-id", "var-id"])
def test_the_server_itself_pushes(bench: Path, control_plane: Any, tmp_path: Path, name: str) -> None:
	say(tmp_path, "111", name)
	assert push_now(bench, INTERNAL_API_KEY=control_plane.key).outcome == "delivered"
	assert checked(bench)[0] == "pass"


def test_what_is_of_this_boot_counts_before_what_stayed_on_the_disk(
	bench: Path, control_plane: Any, tmp_path: Path
) -> None:
	say(tmp_path, "111", "var-id")
	say(tmp_path, "222")
	assert push_now(bench, INTERNAL_API_KEY=control_plane.key).outcome == "not_sent"


def test_where_nothing_says_who_it_is_the_push_goes_out(bench: Path, control_plane: Any) -> None:
	assert push_now(bench, INTERNAL_API_KEY=control_plane.key).outcome == "delivered"
	assert checked(bench)[0] == "skip"


def test_a_hostile_id_is_shown_and_not_obeyed(bench: Path, control_plane: Any, tmp_path: Path) -> None:
	say(tmp_path, "\x1b[31m\u202e")
	error = str(push_now(bench, INTERNAL_API_KEY=control_plane.key).error)
	assert "\\x1b[31m\\u202e" in error and "\x1b" not in error


def test_a_server_without_a_recorded_id_is_warned_of(
	bench: Path, settings: Callable[..., Path], tmp_path: Path
) -> None:
	settings(bench, node_id="node-1", control_plane_url="https://c.example")
	say(tmp_path, "222")
	state, seen, action = checked(bench)
	assert (state, "instance_id is not set" in seen, "--instance-id 222" in action) == ("warn", True, True)


def test_the_doctor_asks_the_metadata_service_where_the_disk_is_silent(
	bench: Path, hetzner: Callable[..., HostileServer]
) -> None:
	server = hetzner(b"222")
	assert checked(bench, online=True)[0] == "fail"
	assert server.requests[0].startswith(b"GET /hetzner/v1/metadata/instance-id ")
	assert b"Authorization" not in server.requests[0]
	assert checked(bench)[0] == "skip"  # offline: nobody was asked
	assert len(server.requests) == 1


def test_nobody_is_asked_on_a_machine_that_is_not_hetzners(
	bench: Path, hetzner: Callable[..., HostileServer], tmp_path: Path
) -> None:
	server = hetzner(b"222")
	(tmp_path / "vendor").write_text("QEMU\n")
	assert checked(bench, online=True)[0] == "skip"
	assert server.requests == []


def test_a_metadata_service_that_does_not_answer_holds_nobody_up(
	bench: Path, hetzner: Callable[..., HostileServer], monkeypatch: pytest.MonkeyPatch
) -> None:
	monkeypatch.setattr(instance, "METADATA_SECONDS", 0.5)
	with HostileServer(lambda exchange: exchange.wait()) as server:
		monkeypatch.setattr(instance, "METADATA_URL", server.url)
		(Path(instance.VENDOR_FILE)).write_text("Hetzner")
		began = time.monotonic()
		assert checked(bench, online=True)[0] == "skip"
	assert time.monotonic() - began < 3


# --- what configure makes of it ----------------------------------------------------------------------


def board(bench: Path, **options: Any) -> Onboarding:
	opened = open_bench(str(bench))
	return Onboarding(opened, load_config(opened, {}), options.pop("environ", {}), online=True, **options)


def test_a_node_id_that_is_set_records_the_server_and_makes_its_row(
	bench: Path, hetzner: Callable[..., HostileServer]
) -> None:
	hetzner(b"222", b"sg-1", b"ap-southeast", b"203.0.113.5")
	onboarding = board(bench)
	assert onboarding.with_instance({"node_id": "sg-1"}) == {"node_id": "sg-1", "instance_id": "222"}
	assert onboarding.with_instance({"timeout": 5}) == {"timeout": 5}
	row = onboarding.row(load_config(open_bench(str(bench)), {"PREGO_METRICS_NODE_ID": "sg-1"}))
	assert row.sql == "INSERT INTO nodes (node_id, region, host) VALUES ('sg-1', 'sg', '203.0.113.5');"


def test_a_name_at_hetzner_that_differs_is_said(bench: Path, hetzner: Callable[..., HostileServer]) -> None:
	hetzner(b"222", b"app-server-7", b"eu-central", b"203.0.113.5")
	config = load_config(open_bench(str(bench)), {})
	(note,) = board(bench).notes(config, {"node_id": "node-1"})
	assert "Hetzner's name of this server is app-server-7, but node_id is node-1" in note


@pytest.mark.parametrize(
	("server", "words"),
	[
		({"name": "x", "labels": {"prego-node-id": "node-1"}}, None),
		(
			{"name": "x", "labels": {"prego-node-id": "node-2"}},
			"label prego-node-id of this server is node-2, but node_id is node-1",
		),
		({"name": "node-1", "labels": {}}, None),
		({"name": "\x1b[31m"}, "name of this server is \\x1b[31m"),
	],
)
def test_with_a_token_hetzners_api_is_asked_for_the_label(
	bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: dict[str, Any], words: str | None
) -> None:
	say(tmp_path, "222")
	with HostileServer(answer(200, json.dumps({"server": server}).encode())) as api:
		monkeypatch.setattr(onboarding, "API_URL", api.url)
		made = board(bench, environ={"HCLOUD_TOKEN": "a-token-987654321"})
		config = load_config(open_bench(str(bench)), {})
		notes = made.notes(config, {"node_id": "node-1"})
	assert len(notes) == (words is not None) and (words or "") in "".join(notes)
	assert "987654321" not in "".join(notes)
	assert api.requests[0].startswith(b"GET /v1/servers/222 ")
