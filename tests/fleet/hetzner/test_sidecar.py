"""`prego-metrics hetzner push` as a real process, between a fake of Hetzner's API and the control plane."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hetzner_api import TOKEN, Answer, HetznerFake, server
from hostile_server import HostileServer, answer
from pushing import leaked

from prego_metrics.agent.base.redaction import WITHHELD
from prego_metrics.sandbox.store import Metrics

Run = Callable[..., Any]


@pytest.fixture
def hetzner() -> Iterator[HetznerFake]:
	"""A project with one server, which is node-1."""
	with HetznerFake([server(1, prego_node_id="node-1")]) as api:
		yield api


@pytest.fixture
def sidecar(hetzner, control_plane, run_agent, tmp_path: Path) -> Run:
	"""`sidecar("--json", counts=…, rows=…)` runs the command; rows None: no export of server_metrics."""

	def run(
		*arguments: object,
		counts: dict[str, object] | None = None,
		rows: list[dict[str, object]] | None = (),
		**environ: str,
	) -> Any:
		tenant_counts = {"node-1": 7} if counts is None else counts
		count_rows = [{"node_id": name, "tenant_count": count} for name, count in tenant_counts.items()]
		(tmp_path / "counts.json").write_text(json.dumps(count_rows))
		options: list[object] = ["--counts", tmp_path / "counts.json"]
		if rows is not None:
			(tmp_path / "metrics.json").write_text(json.dumps([{"results": list(rows), "success": True}]))
			options += ["--metrics", tmp_path / "metrics.json"]
		given = {
			"HCLOUD_TOKEN": TOKEN,
			"HCLOUD_ENDPOINT": hetzner.endpoint,
			"INTERNAL_API_KEY": control_plane.key,
			"PREGO_METRICS_CONTROL_PLANE_URL": control_plane.url,
			**environ,
		}
		result = run_agent("hetzner", "push", *options, *arguments, **given)
		assert not leaked(result.stdout + result.stderr, TOKEN)
		assert not leaked(result.stdout + result.stderr, control_plane.key)
		assert "Traceback" not in result.stderr
		return result

	return run


def row_of(control_plane, node_id: str = "node-1") -> dict[str, Any] | None:
	return control_plane.store.server_metrics(node_id)


def seen(node_id: str, seconds_ago: float, source: str = "node_push") -> dict[str, object]:
	return {"node_id": node_id, "updated_at": time.time() - seconds_ago, "source": source}


def test_of_120_servers_over_three_pages_113_are_pushed_and_the_seven_odd_ones_are_named(
	hetzner, control_plane, sidecar
) -> None:
	hetzner.servers = [server(n, prego_node_id=f"node-{n}") for n in range(1, 121)]
	del hetzner.servers[12 - 1]["labels"]["prego-node-id"]
	hetzner.servers[50 - 1]["status"] = "off"
	hetzner.servers[61 - 1]["labels"]["prego-node-id"] = "node-60"
	hetzner.faults["101"] = Answer(status=503)
	for number in range(1, 121):
		control_plane.store.register_node(f"node-{number}", "sg", "10.0.0.1")
		hetzner.cpu[number] = [str(number * 2 - 10), str(number * 2 + 10)]
	counts: dict[str, object] = {f"node-{n}": n for n in range(1, 121) if n != 33}
	result = sidecar(counts=counts, rows=[seen("node-90", 20)])
	assert result.returncode == 1
	assert result.stdout.splitlines()[-1] == "113 pushed, 1 left alone, 5 not pushed"
	assert result.stderr.splitlines() == [
		"Not pushed: server app-12 (12) has no label prego-node-id",
		"Not pushed: node node-60: 2 servers are mapped to it: server app-60 (60), server app-61 (61)",
		"Not pushed: node node-33: there is no tenant count for it, and an omitted one is read as 0",
		"Not pushed: node node-50: its server app-50 (50) is off",
		"Not pushed: node node-101: its CPU could not be read: the Hetzner Cloud API answers 503: "
		"as the test wants it (service_error)",
	]
	assert [name for name in hetzner.requests if name.startswith("servers")] == [
		"servers?page=1",
		"servers?page=2",
		"servers?page=3",
	]
	for number in range(1, 121):
		row = row_of(control_plane, f"node-{number}")
		if number in (12, 33, 50, 60, 61, 90, 101):
			assert row is None
		else:
			assert row is not None and row["tenant_count"] == number and row["source"] == "hetzner_api"
			assert row["cpu_pct"] == round(number * 2 / 4, 1)
			assert row["memory_pct"] is None and row["disk_pct"] is None


def test_a_mapping_file_names_what_has_no_other_side_or_too_many(
	hetzner, control_plane, sidecar, tmp_path: Path
) -> None:
	hetzner.servers = [server(n) for n in (1, 2, 3)]
	nodes = {"node-1": {"server": 1, "agentless": True}, "sg-2": "app-2", "sg-3": 2, "sg-4": "app-9"}
	(tmp_path / "mapping.json").write_text(json.dumps({"nodes": nodes}))
	result = sidecar("--mapping", tmp_path / "mapping.json", rows=None)
	assert result.returncode == 1 and result.stdout.splitlines()[-1] == "1 pushed, 0 left alone, 4 not pushed"
	assert "node sg-4: the mapping names server app-9, which was not found" in result.stderr
	assert "server app-3 (3) is not in the mapping" in result.stderr
	for node_id in ("sg-2", "sg-3"):
		assert (
			f"node {node_id}: the mapping gives one server, server app-2 (2), to several nodes: sg-2, sg-3"
			in result.stderr
		)
	assert row_of(control_plane)["tenant_count"] == 7


def test_cpu_is_the_mean_divided_by_the_cores_and_never_above_100(hetzner, control_plane, sidecar) -> None:
	hetzner.cpu[1] = ["390", "NaN", "410.5"]
	assert sidecar().returncode == 0
	assert row_of(control_plane)["cpu_pct"] == 100.0
	hetzner.cpu[1] = ["50.4", "30"]
	sidecar()
	assert row_of(control_plane)["cpu_pct"] == 10.1
	question = hetzner.questions[-1]
	assert question["type"] == ["cpu"] and question["step"] == ["60"]


def test_a_cpu_that_is_not_known_is_left_out_with_a_warning(hetzner, control_plane, sidecar) -> None:
	hetzner.cpu[1] = ["NaN"]
	result = sidecar()
	assert result.returncode == 0 and "cpu_pct is left out" in result.stderr
	assert row_of(control_plane)["cpu_pct"] is None and row_of(control_plane)["tenant_count"] == 7


def test_a_node_that_pushes_for_itself_is_left_alone(hetzner, control_plane, sidecar) -> None:
	control_plane.store.save(Metrics("node-1", 12.5, 48.1, 61.0, 42))
	result = sidecar(rows=[seen("node-1", 30)])
	assert result.returncode == 0
	assert "Left alone: node node-1: it pushed for itself 3" in result.stdout
	assert row_of(control_plane)["memory_pct"] == 48.1
	assert "1" not in hetzner.requests  # no request is spent on it


@pytest.mark.parametrize(
	("row", "expected"),
	[
		(seen("node-1", 301), 0),
		(seen("node-1", 30, "hetzner_api"), 0),
		(seen("another", 30), 0),
		(seen("node-1", -3600), 1),
	],
	ids=["stale", "our own", "never seen", "in the future"],
)
def test_a_node_is_pushed_where_the_export_shows_it_stale_ours_or_never_seen(
	row, expected, control_plane, sidecar
) -> None:
	result = sidecar(rows=[row])
	assert result.returncode == expected
	assert (row_of(control_plane) is None) == bool(expected)
	if expected:
		assert "in the future" in result.stderr


def test_without_an_export_only_an_agentless_node_is_pushed(hetzner, control_plane, sidecar) -> None:
	result = sidecar(rows=None)
	assert result.returncode == 1 and "whether it pushes for itself is not known" in result.stderr
	assert row_of(control_plane) is None
	hetzner.servers = [server(1, prego_node_id="node-1", prego_agentless="true")]
	assert sidecar(rows=None).returncode == 0
	assert row_of(control_plane)["tenant_count"] == 7


def test_a_node_that_is_said_to_be_agentless_and_pushes_for_itself_is_not_overwritten(
	hetzner, control_plane, sidecar
) -> None:
	hetzner.servers = [server(1, prego_node_id="node-1", prego_agentless="true")]
	result = sidecar(rows=[seen("node-1", 20)])
	assert result.returncode == 1
	assert re.search("marked agentless, but pushed for itself 2[0-9] s ago", result.stderr)
	assert row_of(control_plane) is None


def test_an_export_that_is_older_than_five_minutes_stops_everything(
	control_plane, sidecar, hetzner, tmp_path: Path
) -> None:
	old = tmp_path / "old.json"
	old.write_text("[]")
	os.utime(old, (time.time() - 301, time.time() - 301))
	result = sidecar("--metrics", old)
	assert result.returncode == 2 and "was written 30" in result.stderr
	assert not hetzner.requests and row_of(control_plane) is None


def test_two_servers_for_one_node_are_both_named_and_neither_is_pushed(
	hetzner, control_plane, sidecar
) -> None:
	hetzner.servers = [server(n, prego_node_id="node-1") for n in (1, 2)]
	result = sidecar()
	assert result.returncode == 1 and row_of(control_plane) is None
	assert "node node-1: 2 servers are mapped to it: server app-1 (1), server app-2 (2)" in result.stderr
	assert result.stdout.splitlines()[-1] == "0 pushed, 0 left alone, 1 not pushed"


def test_a_page_that_fails_is_named_and_the_servers_of_the_others_still_go(
	hetzner, control_plane, sidecar
) -> None:
	hetzner.servers = [server(n, prego_node_id=f"node-{n}") for n in range(1, 121)]
	hetzner.faults["servers?page=2"] = Answer(cut=True)
	control_plane.store.register_node("node-120", "sg", "10.0.0.1")
	result = sidecar(counts={"node-1": 1, "node-60": 60, "node-120": 120})
	assert result.returncode == 1
	assert f"Not read: page 2 of 3 of the servers could not be read: no connection to {hetzner.endpoint}" in (
		result.stderr
	)
	assert hetzner.requests.count("servers?page=2") == 3
	assert row_of(control_plane, "node-1") and row_of(control_plane, "node-120")
	assert result.stdout.splitlines()[-1].endswith(", and some servers could not be listed")


def test_a_passing_fault_costs_another_attempt_and_nothing_else(hetzner, control_plane, sidecar) -> None:
	hetzner.faults = {"servers?page=1": Answer(status=502, times=1), "1": Answer(status=500, times=2)}
	assert sidecar().returncode == 0
	assert row_of(control_plane)["tenant_count"] == 7


def test_a_rate_limit_is_waited_for_as_long_as_its_headers_say(hetzner, control_plane, sidecar) -> None:
	reset = str(int(time.time()) + 4)
	hetzner.faults["1"] = Answer(429, "rate_limit_exceeded", {"RateLimit-Reset": reset}, times=1)
	assert sidecar().returncode == 0
	assert time.time() >= int(reset)
	assert hetzner.requests.count("1") == 2


def test_a_rate_limit_that_outlasts_the_run_ends_it_at_once_and_every_node_is_named(
	hetzner, control_plane, sidecar
) -> None:
	hetzner.servers = [server(n, prego_node_id=f"node-{n}") for n in (1, 2, 3)]
	for number in (2, 3):
		control_plane.store.register_node(f"node-{number}", "sg", "10.0.0.1")
	reset = str(int(time.time()) + 3000)
	hetzner.faults["2"] = Answer(429, "rate_limit_exceeded", {"RateLimit-Reset": reset})
	began = time.monotonic()
	result = sidecar(counts={"node-1": 1, "node-2": 2, "node-3": 3})
	assert result.returncode == 1 and time.monotonic() - began < 10
	assert hetzner.requests.count("2") == 1 and "3" not in hetzner.requests
	assert row_of(control_plane, "node-1") and not row_of(control_plane, "node-3")
	for number in (2, 3):
		assert f"node node-{number}: its CPU could not be read: the project's rate limit is used up" in (
			result.stderr
		)


def test_requests_that_are_nearly_used_up_are_taken_no_faster_than_they_come_back(
	hetzner, control_plane, sidecar
) -> None:
	hetzner.rate_limit = {"RateLimit-Limit": "1800", "RateLimit-Remaining": "180"}
	began = time.monotonic()
	assert sidecar().returncode == 0
	assert time.monotonic() - began >= 2  # one request of 1800 an hour comes back in 2 s


@pytest.mark.parametrize("name", ["HCLOUD_TOKEN", "INTERNAL_API_KEY"])
def test_a_wrong_token_or_key_is_said_once_for_all_and_never_shown(
	name: str, hetzner, control_plane, sidecar
) -> None:
	wrong = "q8Z-w3Y_k5X.v7W~j2V"
	result = sidecar(**{name: wrong})
	assert not leaked(result.stdout + result.stderr, wrong)
	if name == "HCLOUD_TOKEN":
		assert result.returncode == 2 and "refuses the token" in result.stderr
		assert WITHHELD in result.stderr
	else:
		assert result.returncode == 1 and "refuses the key" in result.stderr
	assert row_of(control_plane) is None


def test_without_a_bundle_in_the_environment_an_unknown_authority_gets_no_token(sidecar) -> None:
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
	trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
	with HostileServer(answer(200), tls=context) as api:
		result = sidecar(HCLOUD_ENDPOINT=api.url + "/v1", REQUESTS_CA_BUNDLE="", CURL_CA_BUNDLE="")
	assert result.returncode == 2 and "the certificate is not trusted" in result.stderr
	assert (api.connections, api.requests) == (3, [])


@pytest.mark.parametrize("body", [b"<!DOCTYPE html><title>App</title>", b'{"success": false}'])
def test_a_200_that_is_no_delivery_is_not_pushed(hetzner, sidecar, body: bytes) -> None:
	with HostileServer(answer(200, body)) as server:
		result = sidecar(PREGO_METRICS_CONTROL_PLANE_URL=server.url)
	assert result.returncode == 1 and result.stdout.splitlines()[-1].endswith("1 not pushed")
	assert server.connections == 1


def test_a_refused_key_is_not_tried_for_the_other_nodes(hetzner, control_plane, sidecar) -> None:
	hetzner.servers = [server(n, prego_node_id=f"node-{n}") for n in (1, 2, 3)]
	result = sidecar(counts={f"node-{n}": n for n in (1, 2, 3)}, INTERNAL_API_KEY="another-key-0123456789")
	assert result.returncode == 1 and result.stdout.splitlines()[-1].endswith("3 not pushed")
	assert control_plane.pushes == ["POST /internal/server-metrics 401"]


def test_a_dry_run_reads_and_shows_everything_without_a_key_and_sends_nothing(
	hetzner, control_plane, sidecar
) -> None:
	result = sidecar("--dry-run", "--json", INTERNAL_API_KEY="", PREGO_METRICS_CONTROL_PLANE_URL="")
	assert result.returncode == 0 and not control_plane.answers
	report = json.loads(result.stdout)
	assert report["dry_run"] and report["nodes"][0]["payload"] == {
		"node_id": "node-1",
		"cpu_pct": 20.0,
		"tenant_count": 7,
		"source": "hetzner_api",
	}


def test_the_token_comes_from_a_0600_file_too_and_from_no_other(hetzner, sidecar, tmp_path: Path) -> None:
	file = tmp_path / "token"
	file.write_text(TOKEN + "\n")
	file.chmod(0o600)
	assert sidecar("--token-file", file, HCLOUD_TOKEN="").returncode == 0
	file.chmod(0o644)
	result = sidecar("--token-file", file, HCLOUD_TOKEN="")
	assert result.returncode == 2 and "mode 0644" in result.stderr


@pytest.mark.parametrize("endpoint", ["http://api.example/v1", "ftp://127.0.0.1/", "https://u:p@api.example"])
def test_an_endpoint_that_would_carry_the_token_in_clear_is_refused(endpoint: str, sidecar) -> None:
	result = sidecar(HCLOUD_ENDPOINT=endpoint)
	assert result.returncode == 2 and "HCLOUD_ENDPOINT must" in result.stderr


def test_with_json_a_refused_token_is_an_error_with_its_code(sidecar) -> None:
	result = sidecar("--json", HCLOUD_TOKEN="q8Z-w3Y_k5X.v7W~j2V")
	report = json.loads(result.stdout)
	assert (result.returncode, report["ok"], report["nodes"]) == (2, False, [])
	assert report["error_code"] == "hetzner_token_refused"


def test_a_project_without_a_server_is_no_success(hetzner, sidecar) -> None:
	hetzner.servers = []
	result = sidecar()
	assert result.returncode == 2 and "has no server" in result.stderr


def test_an_answer_of_another_shape_is_one_sentence(hetzner, sidecar) -> None:
	hetzner.faults["servers?page=1"] = Answer(body='{"servers": [{"id": 1}]}')
	result = sidecar("--json")
	assert result.returncode == 2 and json.loads(result.stdout)["error_code"] == "hetzner_unreadable"


def test_an_answer_that_drips_is_cut_off_when_the_time_is_over(hetzner, sidecar) -> None:
	hetzner.faults["servers?page=1"] = Answer(drip=True)
	began = time.monotonic()
	result = sidecar("--time-limit", 1)
	assert result.returncode == 2 and "no answer from" in result.stderr
	assert time.monotonic() - began < 8
