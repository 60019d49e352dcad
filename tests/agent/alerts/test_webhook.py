"""Each alert is posted to alert_url once, in the form that was asked for, and its URL is shown nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from hostile_server import Exchange, HostileServer, answer
from pushing import aim, folder_of, kept, leaked, push_now, scheduled, spare_the_sample

from prego_metrics.agent.alerts.webhook import post_alerts
from prego_metrics.agent.bench.locate import open_bench
from prego_metrics.agent.config.config import load_config
from prego_metrics.agent.push.push import push
from prego_metrics.agent.push.request import Request
from prego_metrics.agent.push.result import Result
from prego_metrics.agent.state.maintenance import OPERATOR, Maintenance, stop_maintenances, write_maintenance
from prego_metrics.agent.state.outcomes import NOT_DUE
from prego_metrics.sandbox.server import LocalControlPlane

HOOK = "/hook/0aa1-a-secret-path"
HOUR = 3600.0


@pytest.fixture
def bench(bench_folder: Path) -> Path:
	spare_the_sample(bench_folder)
	return bench_folder


def failing(bench: Path, hook: HostileServer, **settings: object) -> Path:
	"""A bench whose control plane is away and whose first failure is an alert."""
	return aim(bench, "http://127.0.0.1:9", **{"alert_after": 1, "alert_url": hook.url + HOOK, **settings})


def post(bench: Path, after: float = 0.0) -> tuple[str, ...]:
	"""Post what is due so many seconds from now; returns the warnings."""
	config = load_config(open_bench(str(bench)), {})
	return post_alerts(config, folder_of(bench), clock=lambda: time.time() + after)


def posted(hook: HostileServer) -> list[dict]:
	return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in hook.requests]


def codes(hook: HostileServer) -> list[tuple[str, int]]:
	return [(alert["code"], alert["reminder"]) for alert in posted(hook)]


def failures(result: Result) -> list[str]:
	"""The codes of a push's warnings; that the interval is short has none."""
	return [warning.code for warning in result.warnings if warning.code]


def test_an_alert_is_posted_once_after_the_push_that_caused_it(bench: Path) -> None:
	with HostileServer(answer(200, b"ok")) as hook:
		result = push_now(failing(bench, hook))
		push_now(bench)
	assert (result.outcome, failures(result)) == ("failed", [])
	(request,) = hook.requests
	assert request.startswith(f"POST {HOOK} HTTP/1.1\r\n".encode())
	assert b"uthorization" not in request and not leaked(request.decode())
	(alert,) = posted(hook)
	assert (alert["code"], alert["status"], alert["node"]) == ("failing", "firing", "node-1")
	assert (alert["link"], alert["reminder"]) == (None, 0)
	assert alert["title"] == "Node node-1: pushes are failing"
	assert "Connection refused" in alert["text"]


def test_a_recovery_is_posted_as_resolved(bench: Path, control_plane: LocalControlPlane) -> None:
	with HostileServer(answer(200)) as hook:
		push_now(failing(bench, hook))
		push_now(aim(bench, control_plane.url, alert_url=hook.url + HOOK))
		push_now(bench)
	assert [(alert["code"], alert["status"]) for alert in posted(hook)] == [
		("failing", "firing"),
		("recovered", "resolved"),
	]


def test_maintenance_holds_it_and_the_next_run_after_posts_it_and_then_its_reminders(bench: Path) -> None:
	now = time.time()
	with HostileServer(answer(200)) as hook:
		failing(bench, hook, alert_repeat=2)
		held = Maintenance(OPERATOR, now, now + HOUR)
		write_maintenance(folder_of(bench), held)
		assert push_now(bench).outcome == "failed"
		assert (post(bench), post(bench, HOUR - 5), hook.connections) == ((), (), 0)
		stop_maintenances(folder_of(bench), [held], time.time())
		assert push_now(bench, scheduled()).outcome == NOT_DUE
		assert codes(hook) == [("failing", 0)]
		assert (post(bench, 2 * HOUR - 5), hook.connections) == ((), 1)
		for hours in (2.01, 2.02, 4.02, 4.03):
			assert post(bench, hours * HOUR) == ()
	assert codes(hook) == [("failing", 0), ("failing", 1), ("failing", 2)]
	assert posted(hook)[1]["title"] == "Reminder: Node node-1: pushes are failing"


def echo_path(exchange: Exchange) -> None:
	answer(500, exchange.request.split(b" ")[1])(exchange)


@pytest.mark.parametrize(
	"behaviour",
	[
		answer(404),
		answer(500, HOOK.encode()),
		answer(302, b"", f"Location: http://127.0.0.1:1{HOOK}"),
		answer(200, b'{"ok": false}'),
		Exchange.reset,
		echo_path,
		Exchange.wait,
	],
	ids=["404", "echo", "redirect", "200 that says it failed", "reset", "echo path", "silence"],
)
@pytest.mark.parametrize("template", ["json", "ntfy"])
def test_what_fails_is_a_warning_without_the_url_and_is_posted_by_the_next_run(
	template: str,
	behaviour: Callable[[Exchange], object],
	bench: Path,
	tmp_path: Path,
	monkeypatch: pytest.MonkeyPatch,
) -> None:
	monkeypatch.setattr("prego_metrics.agent.alerts.webhook.LIMIT_SECONDS", 0.3)
	secret = tmp_path / "alert-url"
	with HostileServer(behaviour, answer(200)) as hook:
		secret.write_text(hook.url + HOOK + "\n")
		secret.chmod(0o600)
		failing(bench, hook, alert_url=None, alert_url_file=str(secret), alert_template=template)
		bench_settings = bench / "sites/common_site_config.json"
		bench_settings.write_text(bench_settings.read_text().replace('"alert_url": null, ', ""))
		began = time.monotonic()
		result = push_now(bench)
		assert (result.outcome, time.monotonic() - began < 4) == ("failed", True)
		assert failures(result) == ["alerts_failed"]
		assert not leaked("\n".join([*result.warnings, kept(bench), repr(result)]), HOOK)
		again = push_now(bench, scheduled())
		assert (again.outcome, failures(again)) == (NOT_DUE, [])
		push_now(bench, scheduled())
	assert len(hook.requests) == 2


def test_a_run_that_is_not_due_looks_only_while_something_is_wrong(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(answer(200)) as hook:
		push_now(failing(bench, hook))
		assert folder_of(bench).is_pending()
		push_now(aim(bench, control_plane.url, alert_url=hook.url + HOOK, push_interval=60))
		assert not folder_of(bench).is_pending()
		folder = folder_of(bench)
		state, _ = folder.read()
		later = state._replace(alerted=True)
		folder.write(later)
		assert push_now(bench, scheduled()).outcome == NOT_DUE
	assert codes(hook) == [("failing", 0), ("recovered", 0)]


def test_frappe_s_scheduler_that_does_not_push_posts_that_pushes_stopped(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	with HostileServer(answer(200)) as hook:
		settings = {"alert_url": hook.url + HOOK, "scheduler_pushes": False}
		push_now(aim(bench, control_plane.url, **settings))
		state, _ = folder_of(bench).read()
		long_ago = state.last._replace(at=state.last.at - HOUR)
		folder_of(bench).write(state._replace(last=long_ago, last_delivered=long_ago))
		opened = open_bench(str(bench))
		for _ in range(2):
			assert push(opened, Request("frappe", if_due=True), {}).outcome == NOT_DUE
	assert codes(hook) == [("stale", 0)]


def test_the_link_leads_to_the_page_of_the_operator_site(bench: Path, make_site: Callable[..., Path]) -> None:
	make_site(bench, "ops.example", host_name="https://ops.example")
	with HostileServer(answer(200)) as hook:
		push_now(failing(bench, hook, site="ops.example", exclude_sites=["ops.example"]))
	assert posted(hook)[0]["link"] == "https://ops.example/app/prego-node"


@pytest.mark.parametrize("host_name", ["ops.example", "javascript:alert(1)", "https://a.example/?x", 5, None])
def test_what_is_no_url_of_a_host_is_no_link(
	host_name: object, bench: Path, make_site: Callable[..., Path]
) -> None:
	make_site(bench, "ops.example", host_name=host_name)
	with HostileServer(answer(200)) as hook:
		push_now(failing(bench, hook, site="ops.example"))
	assert posted(hook)[0]["link"] is None


def test_slack_gets_text_with_its_signs_escaped(bench: Path, make_site: Callable[..., Path]) -> None:
	make_site(bench, "ops.example", host_name="https://ops.example")
	settings = {"alert_template": "slack", "site": "ops.example", "node_id": "<!channel> & co"}
	with HostileServer(answer(200, b"ok")) as hook:
		push_now(failing(bench, hook, **settings))
	(message,) = posted(hook)
	assert list(message) == ["text"]
	first, text, link = message["text"].split("\n")
	assert first == "*Node &lt;!channel&gt; &amp; co: pushes are failing*"
	assert "Connection refused" in text and link == "<https://ops.example/app/prego-node>"


def test_alertmanager_gets_the_same_labels_with_an_end_when_it_is_over(
	bench: Path, control_plane: LocalControlPlane
) -> None:
	settings = {"alert_template": "alertmanager", "alert_repeat": 2}
	with HostileServer(answer(200)) as hook:
		push_now(failing(bench, hook, **settings))
		push_now(aim(bench, control_plane.url, alert_url=hook.url + HOOK, **settings))
	(begun,), result = posted(hook)
	assert begun["labels"] == {"alertname": "prego_failing", "node": "node-1", "severity": "warning"}
	assert set(begun["annotations"]) == {"summary", "description"}
	assert begun["startsAt"] < begun["endsAt"]
	assert [alert["labels"]["alertname"] for alert in result] == [
		"prego_failing",
		"prego_stale",
		"prego_lock_stuck",
	]
	assert result[0]["labels"] == begun["labels"] and result[0]["endsAt"] < begun["endsAt"]


def test_ntfy_gets_the_text_as_the_message_and_the_rest_in_the_query(bench: Path) -> None:
	with HostileServer(answer(200)) as hook:
		url = f"{hook.url}/a-topic?auth=abc"
		push_now(failing(bench, hook, alert_template="ntfy", node_id="노드", alert_url=url))
	(request,) = hook.requests
	head, _, body = request.partition(b"\r\n\r\n")
	target = urlsplit(head.split(b" ")[1].decode())
	assert target.path == "/a-topic"
	assert parse_qs(target.query) == {
		"auth": ["abc"],
		"title": ["Node 노드: pushes are failing"],
		"tags": ["warning"],
	}
	assert "Connection refused" in body.decode()
	assert b"content-type: text/plain; charset=utf-8" in head.lower()


def test_somebody_who_waits_for_a_page_does_not_wait_for_it(bench: Path) -> None:
	with HostileServer(answer(200)) as hook:
		push_now(failing(bench, hook), Request(within_seconds=3, max_attempts=1))
		assert hook.connections == 0
		push_now(bench)
	assert hook.connections == 1
