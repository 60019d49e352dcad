"""Attempts at one request, with pauses between them, within a deadline.

The policy of everything that retries:

- at most ATTEMPTS attempts, or as many as the caller says: one is a policy too;
- between two of them a pause of random length, from 0 to BACKOFF_BASE_SECONDS * 2**attempt, at most
  BACKOFF_CAP_SECONDS (exponential backoff with full jitter);
- where the server says how long to wait (Retry-After), exactly that pause instead;
- no pause that ends after the deadline: the attempts are over at once.

Which outcomes deserve another attempt is for the caller to say: for a push, `push/delivery.py`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from prego_metrics.agent.light_typing import Generic, TypeVar

ATTEMPTS = 3
BACKOFF_BASE_SECONDS = 0.5
BACKOFF_CAP_SECONDS = 8.0

Result = TypeVar("Result")


class Attempt(Generic[Result]):
	"""How one attempt ended. asked_seconds: how long the server asks to wait before the next, None if it does not."""

	def __init__(self, result: Result, retry: bool = False, asked_seconds: float | None = None) -> None:
		self.result = result
		self.retry = retry
		self.asked_seconds = asked_seconds


class Ended(Generic[Result]):
	"""The last attempt. late_seconds: the pause that did not fit before the deadline, None if none was needed."""

	def __init__(self, last: Attempt[Result], late_seconds: float | None = None) -> None:
		self.last = last
		self.late_seconds = late_seconds


def with_retries(
	attempt: Callable[[int], Attempt[Result]],
	remaining_seconds: Callable[[], float],
	*,
	max_attempts: int = ATTEMPTS,
	sleep: Callable[[float], None] = time.sleep,
) -> Ended[Result]:
	"""Call `attempt` with 1, 2, … until one needs no retry, and return how the last one ended."""
	number = 1
	while True:
		last = attempt(number)
		pause = pause_seconds(last, number, max_attempts)
		if pause is None:
			return Ended(last)
		if pause >= remaining_seconds():
			return Ended(last, pause)
		sleep(pause)
		number += 1


def pause_seconds(last: Attempt[Result], number: int, max_attempts: int) -> float | None:
	"""Return the pause between attempt `number`, which ended as `last`, and the next one; None if none follows."""
	if not last.retry or number >= max_attempts:
		return None
	return _backoff_seconds(number) if last.asked_seconds is None else last.asked_seconds


def _backoff_seconds(attempt: int) -> float:
	return random.uniform(0.0, min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0**attempt))


def retry_after_seconds(value: str | None) -> float | None:
	"""Return how long a Retry-After asks to wait (RFC 9110, 10.2.3: seconds or a date), or None."""
	value = (value or "").strip()
	if value.isascii() and value.isdigit():
		return float(value[:12])
	moment = http_date_seconds(value)
	return None if moment is None else max(0.0, moment - time.time())


def http_date_seconds(value: str) -> float | None:
	"""Return a date of an HTTP header in seconds since the epoch, or None if it is none."""
	import datetime
	import email.utils

	try:
		moment = email.utils.parsedate_to_datetime(value)
		# A date without a zone is in UTC, as every date of HTTP, and not in the node's own.
		moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)
		return moment.timestamp()
	except (ValueError, TypeError, OverflowError):
		return None
