"""How the sidecar talks to the Hetzner Cloud API: the session that the `hcloud` library is given.

hcloud retries by itself, but has no time limit of its own, does not read the rate limit's headers, and
holds the token where a traceback would show it. So the policy is here, and hcloud sees only good answers:

- each attempt ends after ATTEMPT_SECONDS, whatever the server does; no redirects, TLS verified;
- where there was no answer, a 429 or a 5xx: up to three attempts with backoff (`agent/http/retry.py`);
- 429: wait as long as Retry-After or RateLimit-Reset say, if that ends within the run's time, else stop;
- few requests left of the hour's: no faster than they come back, since the limit is the whole project's;
- any other answer is final.

hcloud never gets the token: it is put in at the last moment, by an object that shows nothing of it.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.secrets import Secret
from prego_metrics.agent.http.client import Answer, Client, NoAnswer
from prego_metrics.agent.http.retry import Attempt, with_retries

ATTEMPT_SECONDS = 10.0
# Below this share of the hour's requests we take only what comes back: others of the project need some too.
RESERVED_SHARE = 0.1
_HOUR_SECONDS = 3600.0
# Fifty servers with all that the API says of each.
MAX_BODY_BYTES = 16 * 1024 * 1024


class HetznerError(PregoMetricsError):
	"""The Hetzner Cloud API did not give what was asked for.

	final: it will give nothing else in this run either (the token, the rate limit, the time).
	"""

	default_code = "hetzner_failed"

	def __init__(self, message: str, *, final: bool = False) -> None:
		super().__init__(message)
		self.final = final


class HetznerSession:
	"""What hcloud takes for its requests session, under the policy above.

	`time_left` returns the seconds that the run may still last. Raises HetznerError for whatever is not a 2xx;
	neither its text nor its traceback holds the token.
	"""

	def __init__(
		self,
		token: Secret,
		endpoint: str,
		time_left: Callable[[], float],
		sleep: Callable[[float], None] = time.sleep,
	) -> None:
		self._token = token
		self._endpoint = endpoint
		self._time_left = time_left
		self._sleep = sleep
		self._pace_seconds = 0.0
		self._client = Client(endpoint, token, keep_alive=True)
		self._where = sanitize(urlsplit(endpoint).netloc, 80)

	def close(self) -> None:
		self._client.close()

	def request(
		self, method: str, url: str, params: Mapping[str, Any] | None = None, **_: object
	) -> requests.Response:
		"""Make one request of hcloud's, with as many attempts as the policy allows, and return its good answer."""
		path = url.removeprefix(self._endpoint)
		ended = with_retries(
			lambda number: self._attempt(method, path, params), self._time_left, sleep=self._sleep
		)
		result = ended.last.result
		if isinstance(result, Answer):
			return _as_response(result)
		if ended.late_seconds is not None:
			raise _too_late(ended.late_seconds, result)
		raise HetznerError(result)

	def _attempt(self, method: str, path: str, params: Mapping[str, Any] | None) -> Attempt[Answer | str]:
		self._wait(self._pace_seconds, "its rate limit is nearly used up")
		seconds = min(ATTEMPT_SECONDS, self._time_left())
		if seconds <= 0:
			return Attempt("the time for this run is over", retry=True)
		try:
			answer = self._client.request(
				method,
				path,
				seconds,
				params=params,
				body_limit_bytes=MAX_BODY_BYTES,
				body_seconds=seconds,
			)
		except BaseException as interruption:  # noqa: BLE001 - it is passed on, only without its traceback
			interruption.__context__ = None
			raise interruption.with_traceback(None) from None
		if isinstance(answer, NoAnswer):
			return Attempt(answer.reason, retry=True)
		if answer.broken:
			return Attempt(answer.broken, retry=True)
		self._pace_seconds = _pace(answer.headers)
		return Attempt(answer) if 200 <= answer.status_code < 300 else self._judge(answer)

	def _judge(self, answer: Answer) -> Attempt[Answer | str]:
		"""Return what a failed request means. Raises HetznerError where no attempt would end otherwise."""
		excerpt = self._token.excerpt(_error_in(answer))
		answer_text = f"{self._where} answers {answer.status_code}" + (f": {excerpt}" if excerpt else "")
		if answer.status_code == 429:
			reason = f"the project's rate limit is used up ({answer_text})"
			return Attempt(reason, retry=True, asked_seconds=_asked_seconds(answer.headers))
		if 500 <= answer.status_code < 600:
			return Attempt(answer_text, retry=True)
		if answer.status_code in (401, 403):
			raise HetznerError(f"the token is refused ({answer_text})", final=True)
		raise HetznerError(answer_text)

	def _wait(self, seconds: float, why: str) -> None:
		"""Wait, or raise HetznerError at once if the run would be over by then."""
		if seconds >= self._time_left():
			raise _too_late(seconds, why)
		if seconds > 0:
			self._sleep(seconds)


def _too_late(seconds: float, why: str) -> HetznerError:
	return HetznerError(
		f"{why}; waiting {seconds:.0f} s would take longer than this run may last", final=True
	)


def _as_response(answer: Answer) -> requests.Response:
	response = requests.Response()
	response.status_code = answer.status_code
	response.headers.update(answer.headers)
	response.raw = io.BytesIO(answer.body.encode("utf-8", "surrogateescape"))
	return response


def _error_in(answer: Answer) -> str:
	"""Return what an error says: the API's message and code, else the body as it came."""
	with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
		error = json.loads(answer.body)["error"]
		return f"{error['message']} ({error['code']})"
	return answer.body


def _asked_seconds(headers: Mapping[str, str]) -> float:
	"""Return how long a 429 asks to wait: Retry-After in seconds, else until RateLimit-Reset, an epoch."""
	retry_after = _number(headers.get("retry-after"))
	if retry_after is not None:
		return retry_after
	reset = _number(headers.get("ratelimit-reset"))
	return max(1.0, reset - time.time()) if reset is not None else 1.0


def _pace(headers: Mapping[str, str]) -> float:
	"""Return the seconds to leave before the next request: 0, or what one of the hour's takes to come back."""
	limit, left = _number(headers.get("ratelimit-limit")), _number(headers.get("ratelimit-remaining"))
	if not limit or left is None or left > limit * RESERVED_SHARE:
		return 0.0
	return _HOUR_SECONDS / limit


def _number(text: str | None) -> float | None:
	return float(text[:15]) if text and text.isascii() and text.isdigit() else None
