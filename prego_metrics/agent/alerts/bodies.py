"""The forms in which an alert is posted to `alert_url`: JSON of our own, or as Slack, Alertmanager or ntfy take it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from prego_metrics.agent.base.alert_codes import ALERTS, ENDED_BY, TENANTS_FELL
from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.light_typing import Any, NamedTuple

_WEEK_SECONDS = 7 * 86400.0
_HOUR_SECONDS = 3600.0


class Alert(NamedTuple):
	"""An alert in words, at `at` in seconds since the epoch. link leads to the node's page, None where it is not known.

	repeat is the number of a reminder, 0 for the alert itself; repeat_hours is when the next one follows, 0: never.
	"""

	code: str
	title: str
	text: str
	node: str
	link: str | None
	at: float
	repeat: int
	repeat_hours: float

	@property
	def resolved(self) -> bool:
		return ALERTS[self.code].all_clear


class Post(NamedTuple):
	"""What is posted, and where: the path of a template may say more than the setting's."""

	path: Secret
	body: bytes
	content_type: str = "application/json"


def post_of(template: str, alert: Alert, path: Secret, now: float) -> Post:
	"""Return an alert in the form that the setting `alert_template` names."""
	return _TEMPLATES[template](alert, path, now)


def _json(alert: Alert, path: Secret, now: float) -> Post:
	return _as_json(
		path,
		{
			"code": alert.code,
			"status": "resolved" if alert.resolved else "firing",
			"title": alert.title,
			"text": alert.text,
			"node": alert.node,
			"link": alert.link,
			"at": iso_utc(alert.at),
			"reminder": alert.repeat,
		},
	)


def _slack(alert: Alert, path: Secret, now: float) -> Post:
	"""Incoming webhooks of Slack, and those of Mattermost, Rocket.Chat and others that copied them."""
	title, text = (_escaped(part) for part in (alert.title, alert.text))
	link = [f"<{alert.link}>"] if alert.link else []
	return _as_json(path, {"text": "\n".join([f"*{title}*", text, *link])})


def _escaped(text: str) -> str:
	return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _alertmanager(alert: Alert, path: Secret, now: float) -> Post:
	"""POST /api/v2/alerts. Alertmanager forgets what nobody repeats, so each alert says how long it holds.

	An all-clear is an alert of the same labels with an end.
	"""
	if alert.resolved:
		ends_at = now
	elif alert.code == TENANTS_FELL:
		ends_at = now + _HOUR_SECONDS
	else:
		ends_at = now + (1.5 * alert.repeat_hours * _HOUR_SECONDS or _WEEK_SECONDS)
	link = {"generatorURL": alert.link} if alert.link else {}
	return _as_json(
		path,
		[
			{
				"labels": {"alertname": f"prego_{code}", "node": alert.node, "severity": "warning"},
				"annotations": {"summary": alert.title, "description": alert.text},
				"startsAt": iso_utc(min(alert.at, now)),
				"endsAt": iso_utc(ends_at),
				**link,
			}
			for code in ENDED_BY.get(alert.code, (alert.code,))
		],
	)


def _ntfy(alert: Alert, path: Secret, now: float) -> Post:
	"""The message is the body, as ntfy takes it at a topic's own URL; all else about it goes into the query."""
	of_ntfy = {"title": alert.title, "tags": "white_check_mark" if alert.resolved else "warning"}
	if alert.link:
		of_ntfy["click"] = alert.link
	sign = "&" if "?" in path.reveal() else "?"
	whole = Secret(f"{path.reveal()}{sign}{urlencode(of_ntfy)}", path.source)
	return Post(whole, alert.text.encode("utf-8", "replace"), "text/plain; charset=utf-8")


def _as_json(path: Secret, content: Any) -> Post:
	return Post(path, json.dumps(content).encode("ascii"))


_TEMPLATES: Mapping[str, Callable[[Alert, Secret, float], Post]] = {
	"json": _json,
	"slack": _slack,
	"alertmanager": _alertmanager,
	"ntfy": _ntfy,
}
