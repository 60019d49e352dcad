"""The Hetzner Cloud API, as far as the sidecar needs it: the servers of a project, and the CPU of one.

The API knows CPU only: it has no memory and no disk usage (its "disk" is input and output). The rules of a request:

- each attempt ends after ATTEMPT_SECONDS, whatever the server does; no redirects, TLS verified;
- no answer, a 429 or a 5xx: up to three attempts with backoff (`agent/http/retry.py`);
- 429: wait as long as Retry-After or RateLimit-Reset say, if that ends within the run's time, else stop;
- few requests left of the hour's: no faster than they come back, since the limit is the whole project's;
- any other answer is final.

Two GETs need no more. The vendor's library, hcloud, retries by itself and knows no limit for a whole run: both could be
changed through its private attributes only.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.formatting import iso_utc
from prego_metrics.agent.base.messages import Message, coded, message
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.http.client import Answer, Client, NoAnswer
from prego_metrics.agent.http.retry import Attempt, retry_after_seconds, with_retries

ATTEMPT_SECONDS = 10.0
PER_PAGE = 50
# Fifty servers with all that the API says of each.
MAX_BODY_BYTES = 16 * 1024 * 1024
RUNNING = "running"
# The mean of the last five minutes: the cadence at which a sidecar usually runs.
CPU_WINDOW_SECONDS = 300
CPU_STEP_SECONDS = 60
# Below this share of the hour's requests we take only what comes back: others of the project need some too.
RESERVED_SHARE = 0.1
_HOUR_SECONDS = 3600.0

Read = TypeVar("Read")


class HetznerError(PregoMetricsError):
	"""The Hetzner Cloud API gave an error, no answer, or one of another shape.

	final: it will give nothing else in this run either (the token, the rate limit, the time).
	"""

	def __init__(self, problem: Message, *, final: bool = False) -> None:
		super().__init__(problem)
		self.final = final


@dataclass(frozen=True)
class HetznerServer:
	"""One server as the API lists it; cores are its virtual ones."""

	server_id: int
	name: str
	status: str
	cores: int
	labels: Mapping[str, str]


class HetznerApi:
	"""The two requests of the sidecar; `seconds_left` returns how long the run may still last."""

	def __init__(self, endpoint: str, token: Secret, seconds_left: Callable[[], float]) -> None:
		self._token = token
		self._client = Client(endpoint, token, keep_alive=True)
		self._seconds_left = seconds_left
		self._pace_seconds = 0.0

	def close(self) -> None:
		self._client.close()

	def list_servers(self, selector: str | None) -> tuple[list[HetznerServer], list[str]]:
		"""Return all servers, or those that a label selector of Hetzner's chooses, and a sentence for each unread page.

		Raises HetznerError without the first page: nothing is known then, not even how many there are.
		"""
		# By id: a server that comes or goes meanwhile moves another one over the page's edge.
		servers: dict[int, HetznerServer] = {}
		unread: list[str] = []
		query = {"label_selector": selector} if selector else {}
		page = last_page = 1
		while page <= last_page:
			try:
				path = f"/servers?{urlencode({**query, 'page': page, 'per_page': PER_PAGE})}"
				listed, last_page = self._get(path, _servers_and_last_page)
				servers |= listed
			except HetznerError as error:
				if page == 1:
					raise
				pages = f"pages {page} to {last_page}" if error.final and page < last_page else f"page {page}"
				unread.append(f"{pages} of {last_page} of the servers could not be read: {error}")
				if error.final:
					break
			page += 1
		return list(servers.values()), unread

	def cpu_percent(self, server: HetznerServer) -> float | None:
		"""Return the server's mean CPU use of the last five minutes, 0 to 100 with one decimal.

		The API counts 100 for each virtual core that is busy, so its values are divided by the cores. None if it has
		no value for these minutes, as for a server that was only just made. Raises HetznerError.
		"""
		now = time.time()
		window = {"start": iso_utc(now - CPU_WINDOW_SECONDS), "end": iso_utc(now)}
		query = urlencode({"type": "cpu", "step": CPU_STEP_SECONDS, **window})
		values = self._get(f"/servers/{server.server_id}/metrics?{query}", _cpu_values)
		if not values:
			return None
		percent = sum(values) / len(values) / max(1, server.cores)
		return round(min(100.0, max(0.0, percent)), 1)

	def _get(self, path: str, read: Callable[[Any], Read]) -> Read:
		"""Return what `read` takes from the JSON at `path`. Raises HetznerError."""
		tries = with_retries(lambda _: self._attempt(path), self._seconds_left)
		result = tries.last.result
		if isinstance(result, Message):
			raise HetznerError(result) if tries.late_seconds is None else _too_late(result)
		try:
			return read(json.loads(result.body))
		except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
			raise HetznerError(coded("hetzner_unreadable", path=path.partition("?")[0])) from None

	def _attempt(self, path: str) -> Attempt[Answer | Message]:
		left = self._seconds_left()
		if left <= 0:
			raise _too_late(message("GET {path} was not sent", path=path.partition("?")[0]))
		if self._pace_seconds >= left:
			raise _too_late(coded("hetzner_limit_near"))
		time.sleep(self._pace_seconds)
		seconds = min(ATTEMPT_SECONDS, self._seconds_left())
		answer = self._client.request(
			"GET", path, seconds, body_limit_bytes=MAX_BODY_BYTES, body_seconds=seconds
		)
		if isinstance(answer, NoAnswer):
			return Attempt(answer.reason, retry=True)
		if answer.broken:
			return Attempt(answer.broken, retry=True)
		self._pace_seconds = _pace_seconds(answer.headers)
		if 200 <= answer.status_code < 300:
			return Attempt(answer)
		summary = self._summary_of(answer)
		if answer.status_code == 429:
			limited = coded("hetzner_rate_limited", answer=summary)
			return Attempt(limited, retry=True, asked_seconds=_asked_seconds(answer.headers))
		if answer.status_code in (401, 403):
			raise HetznerError(coded("hetzner_token_refused", answer=summary), final=True)
		return Attempt(coded("hetzner_failed", answer=summary), retry=answer.status_code >= 500)

	def _summary_of(self, answer: Answer) -> object:
		reason = self._token.excerpt(_error_in(answer.body))
		return (
			coded("answer_says", status_code=answer.status_code, words=reason)
			if reason
			else answer.status_code
		)


def _too_late(reason: Message) -> HetznerError:
	return HetznerError(coded("hetzner_late", reason=reason), final=True)


def _servers_and_last_page(content: Any) -> tuple[dict[int, HetznerServer], int]:
	servers = {
		int(server["id"]): HetznerServer(
			server_id=int(server["id"]),
			name=str(server["name"]),
			status=str(server["status"]),
			cores=int(server["server_type"]["cores"]),
			labels={str(key): str(value) for key, value in server["labels"].items()},
		)
		for server in content["servers"]
	}
	return servers, int(content["meta"]["pagination"]["last_page"])


def _error_in(body: str) -> str:
	"""Return an error's message and code, else the body as it came."""
	with contextlib.suppress(ValueError, LookupError, TypeError, RecursionError):
		error = json.loads(body)["error"]
		return f"{error['message']} ({error['code']})"
	return body


def _cpu_values(content: Any) -> list[float]:
	"""Return the finite values; the API writes numbers as strings, and NaN where it has none."""
	values = [float(value) for _, value in content["metrics"]["time_series"]["cpu"]["values"]]
	return [value for value in values if math.isfinite(value)]


def _asked_seconds(headers: Mapping[str, str]) -> float:
	"""Return how long a 429 asks to wait: by Retry-After, else until RateLimit-Reset, an epoch."""
	asked = retry_after_seconds(headers.get("retry-after"))
	if asked is not None:
		return asked
	reset = _number(headers.get("ratelimit-reset"))
	return max(1.0, reset - time.time()) if reset is not None else 1.0


def _pace_seconds(headers: Mapping[str, str]) -> float:
	"""Return the seconds to leave before the next request: 0, or what one of the hour's takes to come back."""
	limit, left = _number(headers.get("ratelimit-limit")), _number(headers.get("ratelimit-remaining"))
	if not limit or left is None or left > limit * RESERVED_SHARE:
		return 0.0
	return _HOUR_SECONDS / limit


def _number(value: str | None) -> float | None:
	return float(value[:15]) if value and value.isascii() and value.isdigit() else None
