"""Ask the control plane whether it would accept this node's pushes, and write nothing there.

Whether URL, key and node_id are right is asked by `GET /internal/nodes/:node_id`, and believed only if the
answer holds that node_id. No probe is posted: a lax upsert would make a row of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import quote

from prego_metrics.agent.base.errors import ConfigurationError
from prego_metrics.agent.base.messages import message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.doctor.check import FAIL, PASS, SKIP, WARN, Check, Examination

MAX_CLOCK_SKEW_SECONDS = 120.0


def check_control_plane(seen: Examination) -> Iterator[Check]:
	"""Ask the control plane for this node, and compare its clock with ours."""
	from prego_metrics.agent.config.api_key import load_api_key

	config = seen.config
	if not seen.online:
		yield Check("control_plane", SKIP, message("not asked (--offline)"))
		return
	try:
		config.require(("node_id", "control_plane_url"))
		key, _ = load_api_key(config, seen.environ)
	except ConfigurationError:
		yield Check("control_plane", SKIP, message("not asked: the settings or the key are not there yet"))
		return

	from prego_metrics.agent.http.client import Answer, Client, NoAnswer
	from prego_metrics.agent.http.deadline import within_deadline
	from prego_metrics.agent.push.delivery import NODES_ROUTE

	client = Client(config.control_plane_url, key)

	def ask(path: str) -> Answer | NoAnswer:
		answer = within_deadline(
			lambda: client.request("GET", path, config.timeout, words_of_success=True),
			client.abandon,
			config.timeout + 2,
		)
		if isinstance(answer, Answer | NoAnswer):
			return answer
		late = message("no answer within {seconds} s", seconds=f"{config.timeout:g}")
		return NoAnswer(answer if isinstance(answer, str) else late, True)

	answer = ask(f"{NODES_ROUTE}/{quote(config.node_id, safe='')}")
	if isinstance(answer, NoAnswer):
		yield Check(
			"control_plane",
			FAIL,
			message(
				"{host}: {reason}",
				host=sanitize(config.control_plane_url),
				reason=answer.reason,
			),
			message(
				"check control_plane_url, the name's resolution, the firewall and proxies, then run this again"
			),
		)
		return
	known = _holds_node_id(answer.words, config.node_id)
	words = key.excerpt(answer.words)
	answer_text = f"{answer.status_code} {words}"
	if answer.status_code == 200 and known:
		yield Check(
			"control_plane", PASS, message("the URL is right, the key is accepted, the node is registered")
		)
	elif answer.status_code in (401, 403):
		yield Check(
			"control_plane",
			FAIL,
			message("the key from {source} is refused: {answer}", source=key.source, answer=answer_text),
			message("give the node the same INTERNAL_API_KEY that the control plane has"),
		)
	elif answer.status_code == 404 and _lists_nodes(ask(NODES_ROUTE)):
		yield Check(
			"control_plane",
			FAIL,
			message("the node {node} is not registered: {words}", node=sanitize(config.node_id), words=words),
			message("register exactly this node_id in the control plane, or correct it"),
		)
	elif answer.status_code == 404:
		yield Check(
			"control_plane",
			WARN,
			message(
				"there is no route {route} here, so only the last real push tells: {words}",
				route=NODES_ROUTE,
				words=words,
			),
			message("if pushes are not delivered either, control_plane_url is wrong"),
		)
	elif 300 <= answer.status_code < 400:
		yield Check(
			"control_plane",
			FAIL,
			message(
				"a redirect to {url}, which is not followed",
				url=key.excerpt(answer.headers.get("location", ""), 200),
			),
			message("set control_plane_url to where it leads, if that is the control plane"),
		)
	elif answer.status_code in (408, 429) or answer.status_code >= 500:
		yield Check(
			"control_plane",
			FAIL,
			message("the control plane is out of reach: it answers {answer}", answer=answer_text),
			message(
				"look at the control plane, and at what stands before it; pushes are tried again by themselves"
			),
		)
	else:
		yield Check(
			"control_plane",
			WARN,
			message("an answer that does not name this node: {answer}", answer=answer_text),
			message("check that control_plane_url is the control plane's base URL"),
		)
	yield _clock(answer.headers.get("date"))


def _clock(date: str | None) -> Check:
	from prego_metrics.agent.http.retry import http_date_seconds

	moment = http_date_seconds(date or "")
	if moment is None:
		return Check("clock", SKIP, message("the control plane's answer has no date to compare with"))
	skew = time.time() - moment
	found = message("{seconds} s beside the control plane's", seconds=f"{skew:+.0f}")
	if abs(skew) > MAX_CLOCK_SKEW_SECONDS:
		return Check("clock", WARN, found, message("set the clock by NTP (timedatectl)"))
	return Check("clock", PASS, found)


def _lists_nodes(answer: object) -> bool:
	return getattr(answer, "status_code", None) == 200


def _holds_node_id(words: str, node_id: str) -> bool:
	"""Tell whether a JSON answer holds this node_id, wherever in it: the exact shape is not published."""
	try:
		waiting: list[object] = [json.loads(words)]
	except (ValueError, RecursionError):
		return False
	while waiting:
		value = waiting.pop()
		if isinstance(value, dict):
			if value.get("node_id") == node_id:
				return True
			waiting += value.values()
		elif isinstance(value, list):
			waiting += value
	return False
