"""POST /internal/server-metrics: how often it is tried, and what outcome its answer is.

The policy:

- up to three attempts with backoff, all within one deadline (`agent/http/retry.py`); one, if the push before it
  failed: a control plane that is down must not get more requests than one that is well;
- tried again: no connection, TLS failure, no answer in time, 408, 429, 5xx;
- never tried again: any other answer, redirects included (a bearer must not travel), and a 2xx that is no
  delivery (`agent/http/answers.py`): a web page stays one for longer than a push lasts;
- a Retry-After is honoured if it ends within the deadline, else the push ends at once; that of the last answer is
  returned, so that the next push honours it too;
- after an unclear end (the request may have arrived, or 5xx) a retry asks for no snapshot: the row is an
  upsert and may be written twice, a snapshot is an insert.

The whole of it runs in one daemon thread and the caller waits for it until the deadline: nothing else
bounds a resolver that hangs. No exception leaves this module with its traceback, since tracebacks in
Frappe's logs show local variables.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.config.kinds import PUSH_ROUTE
from prego_metrics.agent.http.answers import fault_in, summary_of
from prego_metrics.agent.http.client import Answer, Client, no_answer
from prego_metrics.agent.http.deadline import within_deadline
from prego_metrics.agent.http.retry import ATTEMPTS, Attempt, retry_after_seconds, with_retries
from prego_metrics.agent.light_typing import NamedTuple
from prego_metrics.agent.push.payload import Payload
from prego_metrics.agent.state.outcomes import DELIVERED, FAILED, REFUSED

_RETRIED = frozenset((408, 429))
# Whose Retry-After is for the next push too, and that of a 2xx.
_ASKING = frozenset((429, 503))
# What is tried again; any other answer stands.
_FAILURES = frozenset(("rate_limited", "server_error"))
# Beside the User-Agent, which says the version: neither is part of the runbook's body.
INTERVAL_HEADER = "X-Prego-Push-Interval"


class Delivery(NamedTuple):
	"""How sending one payload ended.

	payload is what was sent last; snapshot_taken says that a snapshot was stored, or may have been. asked_seconds
	is how long the last answer asks to wait.
	"""

	outcome: str
	payload: Payload
	status_code: int | None
	attempts: int
	error: Message | None
	snapshot_taken: bool
	asked_seconds: float | None = None


class _Sending:
	"""One payload on its way, attempt after attempt."""

	def __init__(
		self,
		url: str,
		key: Secret,
		payload: Payload,
		push_interval: float | None,
		attempt_seconds: float,
		deadline_seconds: float,
	) -> None:
		self.key = key
		self.payload = payload
		self._headers = {INTERVAL_HEADER: f"{push_interval:g}"} if push_interval else {}
		self.attempts = 0
		self.snapshot_taken = False
		self._url = url
		self._attempt_seconds = attempt_seconds
		self._deadline = time.monotonic() + deadline_seconds
		self._client: Client | None = None
		self._unclear = False
		self._abandoned = threading.Event()

	def run(self, max_attempts: int, sleep: Callable[[float], None]) -> Delivery:
		client = self._client = Client(self._url, self.key)
		return with_retries(
			lambda number: self._attempt(client, number),
			self._remaining,
			max_attempts=max_attempts,
			sleep=sleep,
		).last.result

	def _attempt(self, client: Client, number: int) -> Attempt[Delivery]:
		if self._abandoned.is_set():
			return Attempt(self._ended(FAILED, None, None))
		if self._unclear:
			self.payload = self.payload.without_snapshot()
		self.attempts = number
		seconds = min(self._attempt_seconds, max(0.05, self._remaining()))
		reply = client.request("POST", PUSH_ROUTE, seconds, self.payload.encoded(), headers=self._headers)
		if isinstance(reply, Answer):
			asked_seconds = retry_after_seconds(reply.headers.get("retry-after"))
			outcome, error = self._judge(reply, asked_seconds)
			self._unclear = outcome == FAILED and reply.status_code not in _RETRIED
			status_code: int | None = reply.status_code
		else:
			outcome, status_code, error, asked_seconds = FAILED, None, reply.reason, None
			self._unclear = reply.unclear
		if self.payload.save_snapshot and (outcome == DELIVERED or self._unclear):
			self.snapshot_taken = True
		delivery = self._ended(outcome, status_code, error)
		if outcome == DELIVERED or status_code in _ASKING:
			delivery = delivery._replace(asked_seconds=asked_seconds)
		return Attempt(delivery, outcome == FAILED, asked_seconds)

	def abandon(self) -> None:
		"""Let nothing more be sent, and note a snapshot that may be on its way."""
		self._abandoned.set()
		if self._client:
			self.snapshot_taken = self.snapshot_taken or (self.payload.save_snapshot and self._client.unclear)
			self._client.abandon()

	def _judge(self, answer: Answer, asked_seconds: float | None) -> tuple[str, Message | None]:
		"""Return the outcome that an answer means, and what is wrong."""
		fault = fault_in(answer, self.key, self.payload.node_id)
		if fault is None:
			return DELIVERED, None
		if fault.code not in _FAILURES:
			return REFUSED, fault
		if asked_seconds is not None and asked_seconds >= self._remaining():
			summary = summary_of(answer, self.key)
			summary = coded("answer_asks_to_wait", answer=summary, seconds=round(asked_seconds))
			fault = coded(fault.code, answer=summary)
		return FAILED, fault

	def _ended(self, outcome: str, status_code: int | None, error: Message | None) -> Delivery:
		return Delivery(
			outcome,
			self.payload,
			status_code,
			self.attempts,
			error,
			self.snapshot_taken,
		)

	def _remaining(self) -> float:
		return self._deadline - time.monotonic()


def scheduled_attempts(failures: int) -> int:
	"""Return how often a push that no person waits for is tried, after this many failures in a row."""
	return 1 if failures else ATTEMPTS


def send(
	url: str,
	key: Secret,
	payload: Payload,
	*,
	push_interval: float | None = None,
	attempt_seconds: float,
	deadline_seconds: float,
	max_attempts: int = ATTEMPTS,
	sleep: Callable[[float], None] = time.sleep,
) -> Delivery:
	"""Send one payload to the control plane at `url` and return how that ended, within `deadline_seconds`.

	push_interval, in seconds, is the node's and goes into a header; None for a push that has none. Raises nothing of
	its own. What interrupts the wait (Ctrl-C, a worker's time limit) passes on, without the traceback that led to it,
	and nothing is sent after it.
	"""
	sending = _Sending(url, key, payload, push_interval, attempt_seconds, deadline_seconds)
	result = within_deadline(lambda: sending.run(max_attempts, sleep), sending.abandon, deadline_seconds)
	if isinstance(result, Delivery):
		return result
	reason = result if isinstance(result, Message) else no_answer(sanitize(url), deadline_seconds)
	return Delivery(FAILED, sending.payload, None, sending.attempts, reason, sending.snapshot_taken)
