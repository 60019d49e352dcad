"""POST /internal/server-metrics, and what its answers mean.

The policy:

- up to three attempts, with exponential backoff and full jitter, all within one deadline;
- tried again: no connection, TLS failure, no answer in time, 408, 429, 5xx;
- never tried again: any other answer, redirects included (a bearer must not travel);
- a Retry-After is honoured if it ends within the deadline, else the push ends at once;
- after an unclear end (the request may have arrived, or 5xx) a retry asks for no snapshot: the row is an
  upsert and may be written twice, a snapshot is an insert.

The whole of it runs in one daemon thread and the caller waits for it until the deadline: nothing else
bounds a resolver that hangs. No exception leaves this module with its traceback, since tracebacks in
Frappe's logs show local variables.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from prego_metrics.agent.base.messages import Message, message
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.secrets import Secret
from prego_metrics.agent.http.client import shown_words
from prego_metrics.agent.http.deadline import http_date_seconds, within_deadline
from prego_metrics.agent.push.payload import Payload
from prego_metrics.agent.state.outcomes import DELIVERED, FAILED, REFUSED

ROUTE = "/internal/server-metrics"
NODES_ROUTE = "/internal/nodes"
ATTEMPTS = 3
BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 8.0
_RETRIED = frozenset((408, 429))


@dataclass(frozen=True)
class Delivery:
	"""How sending one payload ended.

	payload is what was sent last; snapshot_taken tells that a snapshot was stored, or may have been.
	"""

	outcome: str
	payload: Payload
	status_code: int | None
	attempts: int
	error: str | None
	snapshot_taken: bool = False


class _Sending:
	"""One payload on its way, attempt after attempt."""

	def __init__(
		self,
		url: str,
		key: Secret,
		payload: Payload,
		attempt_seconds: float,
		deadline: float,
		max_attempts: int,
		sleep: Callable[[float], None],
	) -> None:
		self.key = key
		self.payload = payload
		self.attempts = 0
		self.snapshot_taken = False
		self._url = url
		self._attempt_seconds = attempt_seconds
		self._deadline = deadline
		self._max_attempts = max_attempts
		self._sleep = sleep
		self._client: object | None = None
		self._abandoned = threading.Event()

	def run(self) -> Delivery:
		from prego_metrics.agent.http.client import Answer, Client

		client = self._client = Client(self._url, self.key)
		while True:
			if self._abandoned.is_set():
				return self._ended(FAILED, None, message("abandoned"))
			self.attempts += 1
			seconds = min(self._attempt_seconds, max(0.05, self._remaining()))
			reply = client.request("POST", ROUTE, seconds, self.payload.encoded())
			if isinstance(reply, Answer):
				delivery, wait, unclear = self._judge(
					reply.status_code, reply.words, reply.headers.get("retry-after")
				)
			else:
				missing = message("{reason} ({url})", reason=reply.reason, url=sanitize(self._url))
				delivery = self._ended(FAILED, None, missing)
				wait, unclear = None, reply.unclear
			if self.payload.save_snapshot and (delivery.outcome == DELIVERED or unclear):
				self.snapshot_taken = True
			if delivery.outcome != FAILED or self.attempts >= self._max_attempts:
				return self._ended(delivery.outcome, delivery.status_code, delivery.error)
			pause = self._pause() if wait is None else wait
			if pause >= self._remaining():
				error = delivery.error
				if wait is not None:
					error = message(
						"{error}; it asks to wait {seconds} s, longer than this push may last",
						error=error,
						seconds=f"{wait:.0f}",
					)
				return self._ended(FAILED, delivery.status_code, error)
			if unclear:
				self.payload = self.payload.without_snapshot()
			self._sleep(pause)

	def abandon(self) -> None:
		"""Let nothing more be sent, and note a snapshot that may be on its way."""
		from prego_metrics.agent.http.client import Client

		self._abandoned.set()
		if isinstance(self._client, Client):
			self.snapshot_taken = self.snapshot_taken or (self.payload.save_snapshot and self._client.unclear)
			self._client.abandon()

	def _judge(
		self, status_code: int, words: str, retry_after: str | None
	) -> tuple[Delivery, float | None, bool]:
		"""Return what an answer means, how long it asks to wait, and whether it may have been carried out."""
		if 200 <= status_code < 300:
			return self._ended(DELIVERED, status_code, None), None, False
		shown = shown_words(words, self.key)
		answer_text: object = status_code
		if shown:
			answer_text = message(
				"{status_code}, and the server says: {words}", status_code=status_code, words=shown
			)
		if status_code in _RETRIED or 500 <= status_code < 600:
			meaning = message("the control plane answers {answer}", answer=answer_text)
			return (
				self._ended(FAILED, status_code, meaning),
				_retry_after_seconds(retry_after),
				status_code not in _RETRIED,
			)
		refused = message("{meaning}: it answers {answer}", meaning=_meaning(status_code), answer=answer_text)
		return self._ended(REFUSED, status_code, refused), None, False

	def _ended(self, outcome: str, status_code: int | None, error: str | None) -> Delivery:
		return Delivery(
			outcome,
			self.payload,
			status_code,
			self.attempts,
			self.key.redact(error) if error else None,
			self.snapshot_taken,
		)

	def _remaining(self) -> float:
		return self._deadline - time.monotonic()

	def _pause(self) -> float:
		ceiling = min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0**self.attempts)
		return random.uniform(0.0, ceiling)


def send(
	url: str,
	key: Secret,
	payload: Payload,
	*,
	attempt_seconds: float,
	deadline_seconds: float,
	max_attempts: int = ATTEMPTS,
	sleep: Callable[[float], None] = time.sleep,
) -> Delivery:
	"""Send one payload to the control plane at `url` and return how that ended, within `deadline_seconds`.

	Raises nothing of its own. What interrupts the wait (Ctrl-C, a worker's time limit) passes on, without
	the traceback that led to it, and nothing is sent after it.
	"""
	sending = _Sending(
		url, key, payload, attempt_seconds, time.monotonic() + deadline_seconds, max_attempts, sleep
	)
	ended = within_deadline(sending.run, sending.abandon, deadline_seconds)
	if isinstance(ended, Delivery):
		return ended
	late = message("no answer within the deadline of {seconds} s", seconds=f"{deadline_seconds:.3g}")
	reason = ended if isinstance(ended, str) else late
	return Delivery(
		FAILED, sending.payload, None, sending.attempts, key.redact(reason), sending.snapshot_taken
	)


def _meaning(status_code: int) -> Message:
	if status_code in (401, 403):
		return message("the control plane refuses the key")
	if 300 <= status_code < 400:
		return message(
			"control_plane_url leads to a redirect, which is not followed since the key must not travel"
		)
	if status_code == 404:
		return message("the control plane does not know this node_id, or control_plane_url is wrong")
	return message("the control plane refuses this push (control_plane_url, node_id or the payload)")


def _retry_after_seconds(value: str | None) -> float | None:
	"""Return how long a Retry-After asks to wait (RFC 9110, 10.2.3: seconds or a date), or None."""
	if not value:
		return None
	value = value.strip()
	if value.isascii() and value.isdigit():
		return float(value[:12])
	moment = http_date_seconds(value)
	return None if moment is None else max(0.0, moment - time.time())
