"""One request to a URL whose path is a secret: a heartbeat, or a webhook. Neither redirects nor the bearer go there."""

from __future__ import annotations

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.http.answers import fault_in, summary_of
from prego_metrics.agent.http.client import SUCCESS_BYTES, SUCCESS_SECONDS, Answer, Client, no_answer
from prego_metrics.agent.http.deadline import within_deadline


def exchange(
	base_url: str,
	path: Secret,
	limit_seconds: float,
	body: bytes | None = None,
	*,
	content_type: str = "application/json",
	takes_pages: bool = False,
) -> Message | None:
	"""Send a GET, or `body` with a POST, and return what went wrong, or None, within `limit_seconds`.

	With `takes_pages` a 2xx is a success where its body is a web page, too.
	"""
	client = Client(base_url)
	reply = within_deadline(
		lambda: client.request(
			"GET" if body is None else "POST",
			path,
			limit_seconds,
			body,
			headers={} if body is None else {"Content-Type": content_type},
			body_limit_bytes=SUCCESS_BYTES,
			body_seconds=SUCCESS_SECONDS,
		),
		client.abandon,
		limit_seconds,
	)
	if isinstance(reply, Answer):
		fault = fault_in(reply, path)
		if fault is None or (takes_pages and fault.code == "not_the_api"):
			return None
		return coded("answers", url=sanitize(base_url), status_code=summary_of(reply, path))
	if isinstance(reply, Message):
		return reply
	return reply.reason if reply else no_answer(sanitize(base_url), limit_seconds)
